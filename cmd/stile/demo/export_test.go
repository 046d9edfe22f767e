package demo

import "github.com/stile-auth/stile/cmd/stile/demo/app"

// Script is one scene of the story, played with exchanges that a test makes up.
type Script struct{ d *director }

// Seventeen begins the first scene.
func Seventeen(offlineOnly bool) *Script {
	d := &director{memory: &memory{}, show: func(scene, int, step, []string) error { return nil }}
	d.begin(seventeen(offlineOnly))
	return &Script{d}
}

// See shows an exchange that is about to begin (Status is 0) or has ended.
func (s *Script) See(x app.Exchange) error {
	return s.d.see(moment{Exchange: x, answered: x.Status != 0})
}

// End says how the scene went.
func (s *Script) End() error { return s.d.end(nil) }
