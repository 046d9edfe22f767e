package storetest

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows"
	"github.com/stile-auth/stile/flows/account"
)

// odd are strings that some server or other would bend, cut or refuse: they differ
// from one another, and are no others.
func odd() []string {
	return []string{
		"", " ", "a", "A", "a ", "a\x00", "a\x00b", "\xff", "\xff\xfe", "\ufffd", "ä", "a\u0308", "{1}", "{", "}a{", "%", "_", "\\", "\\x61", "'", "';--", "$1", "null",
		"\r\n", "\u2028", strings.Repeat("x", 1000), strings.Repeat("x", 1001),
	}
}

// markOdd: each name is a mark of its own, and so is each owner.
func markOdd(t *testing.T, s Stores) {
	for i, name := range odd() {
		taken(t, s, name, strconv.Itoa(i), start)
	}
	for i, name := range odd() {
		refused(t, s, name, strconv.Itoa(i+1), start)
		taken(t, s, name, strconv.Itoa(i), start)
	}
	for _, owner := range odd() {
		taken(t, s, "of "+owner, owner, start)
		for _, other := range odd() {
			if other != owner {
				refused(t, s, "of "+owner, other, start)
			}
		}
	}
}

func throttleOdd(t *testing.T, s Stores) {
	for i, key := range odd() {
		ok(t, s.Throttle.Change(t.Context(), key, become(flows.Counter{Failures: i + 1, Until: start.Add(time.Duration(i))})))
	}
	for i, key := range odd() {
		same(t, counter(t, s, key), flows.Counter{Failures: i + 1, Until: start.Add(time.Duration(i))})
	}
}

func sessionOdd(t *testing.T, s Stores) {
	for i, text := range odd() {
		one := session(text, strconv.Itoa(i))
		one.Subject, one.Client, one.Key = text, text+"\x00", "\x00"+text
		ok(t, s.Sessions.PutSession(t.Context(), one))
	}
	for i, text := range odd() {
		got, err := s.Sessions.SessionByID(t.Context(), text, start)
		ok(t, err)
		if got.Secret != alias(strconv.Itoa(i)) || got.Subject != text || got.Client != text+"\x00" || got.Key != "\x00"+text {
			t.Errorf("session of %q: %+v", text, got)
		}
		ok(t, s.Sessions.EndSessions(t.Context(), flows.SessionsEnd{Subject: text, At: start.Add(time.Hour), Until: start.Add(2 * time.Hour)}))
		noSession(t, s, strconv.Itoa(i), start)
	}
}

// accountOdd: what providers and apps call themselves is kept as it is.
func accountOdd(t *testing.T, s Stores) {
	for i, text := range odd()[1:] {
		a, auths, links := person("p" + strconv.Itoa(i))
		a.Attributes = map[string]string{"note": strings.ToValidUTF8(text, "?")}
		auths[0].Name, auths[0].Data, links[0].External = text, []byte(text), text
		ok(t, s.Accounts.CreateAccount(t.Context(), a, auths, links))
		authenticatorsAre(t, s, a.Subject, auths...)
	}
	for i, text := range odd()[1:] {
		got, err := s.Accounts.AccountByLink(t.Context(), issuer, text)
		ok(t, err)
		if got.Subject != "p"+strconv.Itoa(i) || got.Attributes["note"] != strings.ToValidUTF8(text, "?") {
			t.Errorf("%q leads to %+v", text, got)
		}
		for _, err := range []error{
			second(s.Accounts.Account(t.Context(), text)), second(s.Accounts.AccountByLogin(t.Context(), text)),
			second(s.Accounts.AccountByLink(t.Context(), text, "x")),
		} {
			wantErr(t, err, account.ErrNotFound)
		}
	}
}

func second(_ account.Account, err error) error { return err }

// valueOdd: large values, and names that are nearly alike.
func valueOdd(t *testing.T, s Stores) {
	for i, name := range odd() {
		ok(t, s.Values.PutValue(t.Context(), name, bytes.Repeat([]byte{byte(i), 0xff, 0}, 1<<uint(i%16)), 1))
	}
	for i, name := range odd() {
		got, version, err := s.Values.Value(t.Context(), name)
		ok(t, err)
		if version != 1 || !bytes.Equal(got, bytes.Repeat([]byte{byte(i), 0xff, 0}, 1<<uint(i%16))) {
			t.Errorf("value %q: version %d, %d bytes", name, version, len(got))
		}
	}
}

// many is more than any driver deletes in one step.
const many = 450

// runManyExpired: what has expired goes, however much it is, and nothing else.
func runManyExpired(t *testing.T, s Stores) {
	for i := range many {
		r := record(strconv.Itoa(i), strconv.Itoa(i))
		r.Expires = start.Add(time.Duration(i%3) * time.Hour)
		ok(t, s.Runs.Create(t.Context(), r, start.Add(-time.Hour)))
	}
	expired, err := s.Runs.Expired(t.Context(), start.Add(time.Hour), 2*many)
	ok(t, err)
	same(t, len(expired), many*2/3)
	for i := 1; i < len(expired); i++ {
		if expired[i].Expires.Before(expired[i-1].Expires) {
			t.Fatalf("run %s comes after %s, which expired later", expired[i].ID, expired[i-1].ID)
		}
	}
	for _, want := range []int{200, many*2/3 - 200, 0} {
		n, err := s.Runs.DeleteExpired(t.Context(), start.Add(time.Hour), max(want, 1))
		ok(t, err)
		same(t, n, want)
	}
	for i := range many {
		_, err := s.Runs.Load(t.Context(), alias(strconv.Itoa(i)), start.Add(-time.Hour))
		if live := err == nil; live != (i%3 == 2) {
			t.Errorf("run %d: %v", i, err)
		}
	}
}

// markManyExpired: likewise, while others are taken.
func markManyExpired(t *testing.T, s Stores) {
	for i := range many {
		ok(t, s.Marks.TakeMark(t.Context(), strconv.Itoa(i), "owner", start, start.Add(time.Duration(1+i%2)*time.Hour)))
	}
	deleted := make([]int, 4)
	errs := race(8, func(i int) (err error) {
		if i < len(deleted) {
			deleted[i], err = s.Marks.DeleteExpiredMarks(t.Context(), start.Add(time.Hour), many)
			return err
		}
		return s.Marks.TakeMark(t.Context(), "new "+strconv.Itoa(i), "owner", start, start.Add(2*time.Hour))
	})
	sum := 0
	for i, err := range errs {
		if ok(t, err); i < len(deleted) {
			sum += deleted[i]
		}
	}
	rest, err := s.Marks.DeleteExpiredMarks(t.Context(), start.Add(time.Hour), many)
	ok(t, err)
	same(t, sum+rest, many/2) // each is counted once
	for i := range many {
		if err := take(t, s, strconv.Itoa(i), "other", start); (err == nil) != (i%2 == 0) {
			t.Errorf("mark %d: %v", i, err)
		}
	}
}

// keptOrder: the earliest first, and by owner in the order of their ids.
func keptOrder(t *testing.T, s Stores) {
	var want []flows.Kept
	for i, id := range []string{"c", "a", "b"} {
		k := kept(id, "", start.Add(time.Duration(i)*time.Second).UTC())
		ok(t, s.Kept.PutKept(t.Context(), k))
		want = append(want, k)
	}
	got, err := s.Kept.Forsaken(t.Context(), start.Add(time.Minute), 2)
	ok(t, err)
	same(t, got, want[:2])
	ok(t, s.Kept.DeleteKept(t.Context(), "c"))
	got, err = s.Kept.Forsaken(t.Context(), start.Add(time.Minute), 9)
	ok(t, err)
	same(t, got, want[1:])
	keptAre(t, s, []flows.Kept{want[1], want[2]}, "")
}
