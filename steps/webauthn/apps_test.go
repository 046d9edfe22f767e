package webauthn_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stile-auth/stile/steps/webauthn"
)

const fingerprint = "14:6D:E9:83:C5:73:06:50:D8:EE:B9:95:2F:34:FC:64:16:A0:83:42:E6:1D:BE:A8:8A:04:96:B2:3F:CF:44:E5"

func TestApps(t *testing.T) {
	t.Parallel()
	app, err := webauthn.ParseAndroidApp("com.bank.app/" + fingerprint)
	if err != nil || app.Origin() != "android:apk-key-hash:FG3pg8VzBlDY7rmVLzT8ZBagg0LmHb6oigSWsj_PROU" {
		t.Fatal(app.Origin(), err)
	}
	rotated := app
	rotated.Certificate = make([]byte, 32)
	docs := webauthn.AppDocuments(
		webauthn.Apps{Android: []webauthn.AndroidApp{app, rotated}, Apple: []string{"ABCDE12345.com.bank.app"}},
		webauthn.Apps{Android: []webauthn.AndroidApp{app}, Apple: []string{"ABCDE12345.com.bank.app"}}, "/link")
	for path, want := range map[string]string{
		webauthn.PathAndroidApps: `[{"relation":["delegate_permission/common.get_login_creds"],"target":{"namespace":"android_app",` +
			`"package_name":"com.bank.app","sha256_cert_fingerprints":["` + fingerprint + `","00` + strings.Repeat(":00", 31) + `"]}},` +
			`{"relation":["delegate_permission/common.handle_all_urls"],"target":{"namespace":"android_app",` +
			`"package_name":"com.bank.app","sha256_cert_fingerprints":["` + fingerprint + `"]}}]`,
		webauthn.PathAppleApps: `{"applinks":{"details":[{"appIDs":["ABCDE12345.com.bank.app"],"components":[{"/":"/link/*"}]}]},` +
			`"webcredentials":{"apps":["ABCDE12345.com.bank.app"]}}`,
	} {
		if got, err := json.Marshal(docs[path]); err != nil || string(got) != want {
			t.Errorf("%s: %s %v", path, got, err)
		}
	}
	if docs := webauthn.AppDocuments(webauthn.Apps{}, webauthn.Apps{}, "/link"); len(docs) != 0 {
		t.Errorf("documents without apps: %v", docs)
	}
}

func TestAppsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "com.bank.app", "com.bank.app/", "app/" + fingerprint, "com.bank.app/" + fingerprint[3:], "com.bank.app/" + fingerprint + ":00",
		"com.bank.app/" + strings.ReplaceAll(fingerprint, ":", ""), "com.bank.app/" + strings.Replace(fingerprint, "14", "1G", 1),
		"com..app/" + fingerprint, "com.bank.app/x/" + fingerprint, `com.bank"app/` + fingerprint,
	} {
		if _, err := webauthn.ParseAndroidApp(text); !errors.Is(err, webauthn.ErrParty) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "com.bank.app", "abcde12345.com.bank.app", "ABCDE12345.app", "ABCDE12345.com.bank.*", "ABCDE12345.com..app"} {
		if err := webauthn.CheckAppleApp(text); !errors.Is(err, webauthn.ErrParty) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
