package account_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/flows/account"
)

// typed is the secret of all of them, as it was typed.
const typed = "vierzig grüne Hügel"

// imported were made of typed by other programs: Python's hashlib, the crypt of
// glibc, openssl passwd.
func imported() map[string]string {
	return map[string]string{
		"bcrypt":        "$2b$06$abcdefghijklmnopqrstuuUdvFrqw2QzwU8HBqEH9o3SoNfoEscgq",
		"bcrypt 2y":     "$2y$06$abcdefghijklmnopqrstuuUdvFrqw2QzwU8HBqEH9o3SoNfoEscgq",
		"pbkdf2-sha1":   "$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$vlgz0xC12E0NXA4j4FIjc5roje4",
		"pbkdf2-sha256": "$pbkdf2-sha256$29000$MDEyMzQ1Njc4OWFiY2RlZg$T0IHeYo7pW3zSRYhPTysqoZhwKnAPgRz33APPJs4D5s",
		"pbkdf2-sha512": "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$Fr37LRxIoHxBPNJ+MsURXbYCvY0D2EAi6PwnFWaWo/t6tv2RoBnWBNcgzVk2CfWosLT64nk1LLwe/DQkVCy8yA",
		"Django":        "pbkdf2_sha256$1000$saltysalt$iNGE1MP7TAqOc74VJfgg6kt+4DDCutwjWItLlBXuSEM=",
		"scrypt":        "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$L6toFjWNla48kwo86FoWMo1bU8WjjGTpt0gUWqO/n24",
		"SSHA":          "{SSHA}dCi+6kQW/P4Z4HyKBXtt46H7X9gwMTIzNDU2Nw==",
		"SSHA256":       "{SSHA256}/GA5WxL5jR55A+y74j28FKU6FauXaKJESp4GXt7p/2AwMTIzNDU2Nw==",
		"SSHA512":       "{SSHA512}n2r1ROop6PLgqRcST2czdf9aEavgV/L/YywIbFonnX1mgUhj+fZpOm6rGn/BdLbGMPiFNI+Egmvbu6xZIx6dnjAxMjM0NTY3",
		"sha256-crypt":  "$5$saltstring$WdpKtqCS1yKPi7bHF1SpPq4LvGjzf34HaWwGPBsTcm1",
		"sha512-crypt":  "$6$saltstring$DYc8SUDRhPNh/VIyxJuNEA5hWgxs9DtXWqtIft2WEjTdra8rleBSLo600rixPRAXs9hkKMwZDFPuCBTY5UHK0/",
	}
}

func TestImportedHashes(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	for name, hash := range imported() {
		if err := account.CheckHash(hash); err != nil {
			t.Errorf("%s: CheckHash: %v", name, err)
		}
		if err := h.Verify(t.Context(), hash, typed); err != nil {
			t.Errorf("%s: the right secret: %v", name, err)
		}
		for _, wrong := range []string{"", typed + " ", strings.ToUpper(typed), typed[:len(typed)-1]} {
			if err := h.Verify(t.Context(), hash, wrong); !errors.Is(err, account.ErrWrong) {
				t.Errorf("%s: %q: %v, want ErrWrong", name, wrong, err)
			}
		}
		if !h.Stale(hash) {
			t.Errorf("%s: not stale", name)
		}
	}
}

// Vectors of the sha-crypt specification (U. Drepper, 0.6), which openssl passwd makes too.
func TestSHACryptVectors(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	for hash, secret := range map[string]string{
		"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5":                                                               "Hello world!",
		"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1":                    "Hello world!",
		"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.": "Hello world!",
	} {
		if err := h.Verify(t.Context(), hash, secret); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

// What bcrypt would cut off counts all the same: nobody is let in with 72 bytes of 73.
func TestBcryptIsNotCut(t *testing.T) {
	t.Parallel()
	h := newHasher(t, account.HasherConfig{})
	const ofSeventyTwo = "$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i" // perl's crypt of 72 letters x
	long := strings.Repeat("x", 72)
	if err := h.Verify(t.Context(), ofSeventyTwo, long); err != nil {
		t.Errorf("72 bytes: %v", err)
	}
	if err := h.Verify(t.Context(), ofSeventyTwo, long+"y"); !errors.Is(err, account.ErrWrong) {
		t.Errorf("73 bytes: %v, want ErrWrong", err)
	}
}

// An imported hash cannot eat the machine, and what is malformed is refused before it is stored.
func TestHostileImports(t *testing.T) {
	t.Parallel()
	const salt, tag = "MDEyMzQ1Njc4OWFiY2RlZg", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	bcrypted := strings.Repeat("a", 53)
	h := newHasher(t, account.HasherConfig{})
	for name, hash := range map[string]string{
		"plain":             typed,
		"nothing":           "",
		"unsalted":          "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
		"our own":           "$argon2id$v=19$m=8,t=1,p=1,keyid=MQ$" + salt + "$" + tag,
		"bcrypt cost":       "$2b$15$" + bcrypted,
		"bcrypt cost 31":    "$2b$31$" + bcrypted,
		"bcrypt no cost":    "$2b$03$" + bcrypted,
		"bcrypt short":      "$2b$06$" + bcrypted[1:],
		"argon2 memory":     "$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag,
		"argon2 passes":     "$argon2i$v=19$m=64,t=4294967,p=1$" + salt + "$" + tag,
		"argon2 lanes":      "$argon2id$v=19$m=8192,t=1,p=255$" + salt + "$" + tag,
		"argon2 lanes 256":  "$argon2id$v=19$m=8192,t=1,p=257$" + salt + "$" + tag,
		"argon2d":           "$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + tag,
		"scrypt memory":     "$scrypt$ln=30,r=8,p=1$" + salt + "$" + tag,
		"scrypt r":          "$scrypt$ln=17,r=32,p=1$" + salt + "$" + tag,
		"scrypt p":          "$scrypt$ln=10,r=8,p=200$" + salt + "$" + tag,
		"scrypt ln 0":       "$scrypt$ln=0,r=8,p=1$" + salt + "$" + tag,
		"pbkdf2 iterations": "$pbkdf2-sha512$999999999$" + salt + "$" + tag,
		"pbkdf2 none":       "$pbkdf2-sha256$0$" + salt + "$" + tag,
		"Django iterations": "pbkdf2_sha256$999999999$salt$" + tag + "=",
		"Django short tag":  "pbkdf2_sha256$1000$salt$AAAA",
		"sha-crypt rounds":  "$6$rounds=999999999$saltstring$" + strings.Repeat("a", 86),
		"sha-crypt few":     "$5$rounds=10$saltstring$" + strings.Repeat("a", 43),
		"SSHA without salt": "{SSHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
		"line break":        "$2b$06$" + bcrypted + "\n",
		"long salt":         "$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 100) + "$" + tag,
		"short tag":         "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA",
	} {
		if err := account.CheckHash(hash); !errors.Is(err, account.ErrHash) {
			t.Errorf("%s: CheckHash: %v, want ErrHash", name, err)
			continue // it might take for ever
		}
		if err := h.Verify(t.Context(), hash, typed); name != "our own" && !errors.Is(err, account.ErrHash) {
			t.Errorf("%s: Verify: %v, want ErrHash", name, err)
		}
	}
}

// What is read never asks for more than the bounds, whatever it says.
func FuzzCheckHash(f *testing.F) {
	for _, hash := range imported() {
		f.Add(hash)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		if err := account.CheckHash(hash); err != nil && !errors.Is(err, account.ErrHash) {
			t.Errorf("%q: %v", hash, err)
		}
	})
}
