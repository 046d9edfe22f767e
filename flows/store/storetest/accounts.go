package storetest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stile-auth/stile/flows/account"
)

func accountCases() []testCase {
	return []testCase{
		{"round trip", accountRoundTrip},
		{"copies", accountCopies},
		{"all or nothing", accountAtomic},
		{"invalid", accountInvalid},
		{"login race", accountLoginRace},
		{"status", accountStatus},
		{"attributes", accountAttributes},
		{"paging", accountPaging},
		{"odd values", accountOdd},
		{"cancelled", accountCancelled},
		{"reopen", accountReopen},
	}
}

func authenticatorCases() []testCase {
	return []testCase{
		{"order", authenticatorOrder},
		{"add", authenticatorAdd},
		{"add race", authenticatorAddRace},
		{"update", authenticatorUpdate},
		{"failed update", authenticatorFailedUpdate},
		{"fixed identity", authenticatorFixed},
		{"update race", authenticatorUpdateRace},
		{"one-time use race", authenticatorUseRace},
		{"cancelled", authenticatorCancelled},
		{"reopen", authenticatorReopen},
	}
}

const issuer = "https://idp.bank.example"

// person is an account that has everything, its names made of its subject.
func person(subject string) (account.Account, []account.Authenticator, []account.Link) {
	a := account.Account{
		Subject: subject, Status: account.Active, Logins: []string{subject + "@bank.example", subject + " zoë"},
		Attributes: map[string]string{"branch": "Zürich", "empty": ""}, Created: start,
	}
	return a, []account.Authenticator{authenticator(subject, subject+" pin")},
		[]account.Link{{Issuer: issuer, External: subject + " upstream", Subject: subject, Created: start}}
}

func authenticator(subject, id string) account.Authenticator {
	return account.Authenticator{
		ID: id, Subject: subject, Type: account.TypePIN, Name: "PIN ü", Status: account.Active, Binding: "aal2",
		Key: "thumbprint", Data: []byte("{\"n\":\"0\"}"), Created: start,
	}
}

func createPerson(t *testing.T, s Stores, subject string) account.Account {
	t.Helper()
	a, auths, links := person(subject)
	ok(t, s.Accounts.CreateAccount(t.Context(), a, auths, links))
	return a
}

func accountRoundTrip(t *testing.T, s Stores) {
	want := createPerson(t, s, "jane")
	bare := account.Account{Subject: "bare", Status: account.Disabled}
	ok(t, s.Accounts.CreateAccount(t.Context(), bare, nil, nil))
	for _, find := range []func() (account.Account, error){
		func() (account.Account, error) { return s.Accounts.Account(t.Context(), "jane") },
		func() (account.Account, error) { return s.Accounts.AccountByLogin(t.Context(), "jane@bank.example") },
		func() (account.Account, error) { return s.Accounts.AccountByLogin(t.Context(), "jane zoë") },
		func() (account.Account, error) { return s.Accounts.AccountByLink(t.Context(), issuer, "jane upstream") },
	} {
		got, err := find()
		ok(t, err)
		same(t, got, want)
		inUTC(t, got.Created)
	}
	got, err := s.Accounts.Account(t.Context(), "bare")
	ok(t, err)
	same(t, got, bare)
	accountAbsent(t, s)
}

// accountAbsent asks for what is nearly there.
func accountAbsent(t *testing.T, s Stores) {
	t.Helper()
	for _, subject := range []string{"", "JANE", "jane ", "jan_", "%"} {
		_, err := s.Accounts.Account(t.Context(), subject)
		wantErr(t, err, account.ErrNotFound)
		_, err = s.Accounts.AccountByLogin(t.Context(), subject)
		wantErr(t, err, account.ErrNotFound)
		_, err = s.Accounts.AccountByLink(t.Context(), issuer, subject)
		wantErr(t, err, account.ErrNotFound)
	}
	_, err := s.Accounts.AccountByLink(t.Context(), issuer+"/", "jane upstream")
	wantErr(t, err, account.ErrNotFound)
}

func accountCopies(t *testing.T, s Stores) {
	given, auths, links := person("jane")
	ok(t, s.Accounts.CreateAccount(t.Context(), given, auths, links))
	given.Logins[0], given.Attributes["branch"], auths[0].Data[0] = "x", "x", 'x'
	got, err := s.Accounts.Account(t.Context(), "jane")
	ok(t, err)
	got.Logins[0], got.Attributes["branch"] = "x", "x"
	list, err := s.Authenticators.Authenticators(t.Context(), "jane")
	ok(t, err)
	list[0].Data[0] = 'x'
	want, wantAuths, _ := person("jane")
	got, err = s.Accounts.Account(t.Context(), "jane")
	ok(t, err)
	same(t, got, want)
	list, err = s.Authenticators.Authenticators(t.Context(), "jane")
	ok(t, err)
	same(t, list, wantAuths)
}

// accountAtomic collides in each part in turn: nothing of the account may stay.
func accountAtomic(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	for name, collide := range map[string]func(a *account.Account, x *account.Authenticator, l *account.Link){
		"subject": func(a *account.Account, x *account.Authenticator, l *account.Link) {
			a.Subject, x.Subject, l.Subject = "jane", "jane", "jane"
		},
		"login":         func(a *account.Account, _ *account.Authenticator, _ *account.Link) { a.Logins[1] = "jane zoë" },
		"link":          func(_ *account.Account, _ *account.Authenticator, l *account.Link) { l.External = "jane upstream" },
		"authenticator": func(_ *account.Account, x *account.Authenticator, _ *account.Link) { x.ID = "jane pin" },
	} {
		a, auths, links := person("mallory")
		collide(&a, &auths[0], &links[0])
		if err := s.Accounts.CreateAccount(t.Context(), a, auths, links); !errors.Is(err, account.ErrExists) {
			t.Errorf("%s: error %v, want ErrExists", name, err)
		}
		_, err := s.Accounts.Account(t.Context(), "mallory")
		wantErr(t, err, account.ErrNotFound)
		_, err = s.Accounts.AccountByLogin(t.Context(), "mallory@bank.example")
		wantErr(t, err, account.ErrNotFound)
		_, err = s.Accounts.AccountByLink(t.Context(), issuer, "mallory upstream")
		wantErr(t, err, account.ErrNotFound)
		authenticatorsAre(t, s, "mallory")
		authenticatorsAre(t, s, "jane", authenticator("jane", "jane pin"))
	}
	createPerson(t, s, "mallory")
}

func accountInvalid(t *testing.T, s Stores) {
	for name, spoil := range map[string]func(a *account.Account, x *account.Authenticator, l *account.Link){
		"no subject":                func(a *account.Account, _ *account.Authenticator, _ *account.Link) { a.Subject = "" },
		"login not canonical":       func(a *account.Account, _ *account.Authenticator, _ *account.Link) { a.Logins[0] = "JANE@bank.example" },
		"login twice":               func(a *account.Account, _ *account.Authenticator, _ *account.Link) { a.Logins[0] = a.Logins[1] },
		"authenticator of another":  func(_ *account.Account, x *account.Authenticator, _ *account.Link) { x.Subject = "other" },
		"link of another":           func(_ *account.Account, _ *account.Authenticator, l *account.Link) { l.Subject = "other" },
		"link without external id":  func(_ *account.Account, _ *account.Authenticator, l *account.Link) { l.External = "" },
		"authenticator without id":  func(_ *account.Account, x *account.Authenticator, _ *account.Link) { x.ID = "" },
		"login with control letter": func(a *account.Account, _ *account.Authenticator, _ *account.Link) { a.Logins[0] = "jane\x00" },
	} {
		a, auths, links := person("jane")
		spoil(&a, &auths[0], &links[0])
		if err := s.Accounts.CreateAccount(t.Context(), a, auths, links); !errors.Is(err, account.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrInvalid", name, err)
		}
	}
	_, err := s.Accounts.Account(t.Context(), "jane")
	wantErr(t, err, account.ErrNotFound)
}

func accountLoginRace(t *testing.T, s Stores) {
	oneWinner(t, race(writers, func(i int) error {
		a := account.Account{Subject: strconv.Itoa(i), Status: account.Active, Logins: []string{"shared"}, Created: start}
		return s.Accounts.CreateAccount(t.Context(), a, nil, nil)
	}), account.ErrExists)
	list, err := s.Accounts.Accounts(t.Context(), "", writers)
	ok(t, err)
	if len(list) != 1 {
		t.Errorf("%d accounts, want 1", len(list))
	}
}

func accountStatus(t *testing.T, s Stores) {
	want := createPerson(t, s, "jane")
	want.Status = account.Disabled
	ok(t, s.Accounts.SetStatus(t.Context(), "jane", account.Disabled))
	got, err := s.Accounts.AccountByLogin(t.Context(), "jane@bank.example")
	ok(t, err)
	same(t, got, want)
	wantErr(t, s.Accounts.SetStatus(t.Context(), "absent", account.Active), account.ErrNotFound)
}

func accountPaging(t *testing.T, s Stores) {
	for _, subject := range []string{"d", "b", "é", "a", "c", "0"} {
		createPerson(t, s, subject)
	}
	var got []string
	after := ""
	for range 4 {
		page, err := s.Accounts.Accounts(t.Context(), after, 2)
		ok(t, err)
		for _, a := range page {
			after = a.Subject
			got = append(got, after)
		}
	}
	same(t, got, []string{"0", "a", "b", "c", "d", "é"})
}

func accountCancelled(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	ctx := cancelled(t)
	a, auths, links := person("joe")
	wantErr(t, s.Accounts.CreateAccount(ctx, a, auths, links), context.Canceled)
	wantErr(t, s.Accounts.SetStatus(ctx, "jane", account.Disabled), context.Canceled)
	_, err := s.Accounts.Account(ctx, "jane")
	wantErr(t, err, context.Canceled)
	_, err = s.Accounts.AccountByLogin(ctx, "jane@bank.example")
	wantErr(t, err, context.Canceled)
	_, err = s.Accounts.AccountByLink(ctx, issuer, "jane upstream")
	wantErr(t, err, context.Canceled)
	list, err := s.Accounts.Accounts(ctx, "", 10)
	wantErr(t, err, context.Canceled)
	same(t, list, []account.Account(nil))
	got, err := s.Accounts.Account(t.Context(), "jane")
	ok(t, err)
	same(t, got.Status, account.Active)
}

func accountReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	want := createPerson(t, s, "jane")
	s = s.Reopen(t)
	got, err := s.Accounts.AccountByLink(t.Context(), issuer, "jane upstream")
	ok(t, err)
	same(t, got, want)
}

func authenticatorsAre(t *testing.T, s Stores, subject string, want ...account.Authenticator) {
	t.Helper()
	got, err := s.Authenticators.Authenticators(t.Context(), subject)
	ok(t, err)
	same(t, got, want)
	for _, a := range got {
		inUTC(t, a.Created, a.LastUsed)
	}
}

func authenticatorOrder(t *testing.T, s Stores) {
	a, _, _ := person("jane")
	first, second, third := authenticator("jane", "z"), authenticator("jane", "a"), authenticator("jane", "b")
	first.Created, first.Status = start.Add(-time.Nanosecond), account.Disabled
	third.LastUsed, third.Data, third.Key = start.Add(time.Minute), []byte{0, 0xff}, ""
	ok(t, s.Accounts.CreateAccount(t.Context(), a, []account.Authenticator{third, second, first}, nil))
	authenticatorsAre(t, s, "jane", first, second, third)
	authenticatorsAre(t, s, "absent")
}

func authenticatorAdd(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	createPerson(t, s, "joe")
	phone := authenticator("jane", "phone")
	ok(t, s.Authenticators.AddAuthenticator(t.Context(), phone))
	wantErr(t, s.Authenticators.AddAuthenticator(t.Context(), phone), account.ErrExists)
	stolen := authenticator("joe", "phone")
	wantErr(t, s.Authenticators.AddAuthenticator(t.Context(), stolen), account.ErrExists)
	wantErr(t, s.Authenticators.AddAuthenticator(t.Context(), authenticator("absent", "new")), account.ErrNotFound)
	authenticatorsAre(t, s, "jane", authenticator("jane", "jane pin"), phone)
	authenticatorsAre(t, s, "joe", authenticator("joe", "joe pin"))
	authenticatorsAre(t, s, "absent")
}

func authenticatorAddRace(t *testing.T, s Stores) {
	for i := range 4 {
		createPerson(t, s, strconv.Itoa(i))
	}
	oneWinner(t, race(writers, func(i int) error {
		return s.Authenticators.AddAuthenticator(t.Context(), authenticator(strconv.Itoa(i%4), "phone"))
	}), account.ErrExists)
}

func authenticatorUpdate(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	want := authenticator("jane", "jane pin")
	want.Name, want.Status, want.Key, want.Data, want.LastUsed = "new", account.Disabled, "other", []byte("\x00\xff"), start.Add(time.Hour)
	ok(t, s.Authenticators.UpdateAuthenticator(t.Context(), "jane pin", func(a *account.Authenticator) error {
		same(t, *a, authenticator("jane", "jane pin"))
		*a = want
		return nil
	}))
	authenticatorsAre(t, s, "jane", want)
	err := s.Authenticators.UpdateAuthenticator(t.Context(), "absent", func(*account.Authenticator) error { return errRefused })
	wantErr(t, err, account.ErrNotFound)
}

func authenticatorFailedUpdate(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	err := s.Authenticators.UpdateAuthenticator(t.Context(), "jane pin", func(a *account.Authenticator) error {
		a.Name, a.Data[0] = "changed", 'X'
		return errRefused
	})
	if err != errRefused { //nolint:errorlint // it must come back unwrapped
		t.Fatalf("error %v, want the very one that fn returned", err)
	}
	authenticatorsAre(t, s, "jane", authenticator("jane", "jane pin"))
}

func authenticatorFixed(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	createPerson(t, s, "mallory")
	for name, change := range map[string]func(*account.Authenticator){
		"id":      func(a *account.Authenticator) { a.ID = "other" },
		"subject": func(a *account.Authenticator) { a.Subject = "mallory" },
		"type":    func(a *account.Authenticator) { a.Type = account.TypeDevice },
		"binding": func(a *account.Authenticator) { a.Binding = "aal3" },
		"created": func(a *account.Authenticator) { a.Created = a.Created.Add(time.Second) },
	} {
		err := s.Authenticators.UpdateAuthenticator(t.Context(), "jane pin", func(a *account.Authenticator) error {
			change(a)
			return nil
		})
		if !errors.Is(err, account.ErrFixed) {
			t.Errorf("%s: error %v, want ErrFixed", name, err)
		}
	}
	authenticatorsAre(t, s, "jane", authenticator("jane", "jane pin"))
}

func authenticatorUpdateRace(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	ok(t, errors.Join(race(writers, func(int) error {
		return s.Authenticators.UpdateAuthenticator(t.Context(), "jane pin", func(a *account.Authenticator) error {
			n := 0
			if a.Name != "PIN ü" {
				var err error
				if n, err = strconv.Atoi(a.Name); err != nil {
					return err
				}
			}
			a.Name = strconv.Itoa(n + 1)
			return nil
		})
	})...))
	want := authenticator("jane", "jane pin")
	want.Name = strconv.Itoa(writers)
	authenticatorsAre(t, s, "jane", want)
}

// authenticatorUseRace: what fn refuses the second time is used once however many ask.
func authenticatorUseRace(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	oneWinner(t, race(writers, func(i int) error {
		return s.Authenticators.UpdateAuthenticator(t.Context(), "jane pin", func(a *account.Authenticator) error {
			if !a.LastUsed.IsZero() {
				return account.ErrUsed
			}
			a.LastUsed = start.Add(time.Duration(i+1) * time.Second)
			return nil
		})
	}), account.ErrUsed)
}

func authenticatorCancelled(t *testing.T, s Stores) {
	createPerson(t, s, "jane")
	ctx := cancelled(t)
	wantErr(t, s.Authenticators.AddAuthenticator(ctx, authenticator("jane", "new")), context.Canceled)
	err := s.Authenticators.UpdateAuthenticator(ctx, "jane pin", func(a *account.Authenticator) error {
		a.Name = "changed"
		return nil
	})
	wantErr(t, err, context.Canceled)
	_, err = s.Authenticators.Authenticators(ctx, "jane")
	wantErr(t, err, context.Canceled)
	authenticatorsAre(t, s, "jane", authenticator("jane", "jane pin"))
}

func authenticatorReopen(t *testing.T, s Stores) {
	if s.Reopen == nil {
		return
	}
	createPerson(t, s, "jane")
	phone := authenticator("jane", "phone")
	phone.LastUsed = start
	ok(t, s.Authenticators.AddAuthenticator(t.Context(), phone))
	authenticatorsAre(t, s.Reopen(t), "jane", authenticator("jane", "jane pin"), phone)
}
