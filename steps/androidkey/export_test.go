package androidkey

// Judge is what [Verifier.Verify] does with the description of the key.
func (v *Verifier) Judge(description []byte, want Want) (Key, error) {
	d, err := readDescription(description)
	if err != nil {
		return Key{}, err
	}
	return v.judge(d, want)
}
