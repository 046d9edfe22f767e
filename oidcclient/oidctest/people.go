package oidctest

import (
	"crypto/subtle"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// people are the users with their hashed passwords. The cost of the hash is
// the lowest there is: this is a test provider, and its passwords protect
// nothing.
type people struct {
	byName map[string]*person
	dummy  []byte // hashed against when the user is unknown
}

type person struct {
	user *User
	hash []byte
}

func newPeople(users []User) (*people, error) {
	dummy, err := bcrypt.GenerateFromPassword([]byte(newSecret()), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("oidctest: %w", err)
	}
	all := &people{byName: map[string]*person{}, dummy: dummy}
	for i := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte(users[i].Password), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("oidctest: user %q: %w", users[i].Username, err)
		}
		u := users[i]
		u.Password = ""
		all.byName[u.Username] = &person{user: &u, hash: hash}
	}
	return all, nil
}

// check finds the user of a correct name and password. It takes as long for an
// unknown name.
func (p *people) check(name, password string) (*User, error) {
	who, known := p.byName[name]
	hash := p.dummy
	if known {
		hash = who.hash
	}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	if err != nil || !known {
		return nil, fmt.Errorf("oidctest: user name or password is wrong")
	}
	return who.user, nil
}

// sameSecret compares in constant time, and hides the lengths too.
func sameSecret(a, b string) bool {
	x, y := digestOf(a), digestOf(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
