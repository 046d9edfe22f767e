// Package app is a mobile banking app, as somebody outside would write it who
// has read nothing but the REST contract: it imports nothing of the server.
//
// It has three parts. A [Device] holds keys: the DPoP key that every request
// proves (RFC 9449), and, once enrolled, a key that the phone uses only after
// it has seen its owner. A [Browser] is the phone's system browser: cookies,
// redirects, real HTML forms (RFC 8252 section 6). The [App] drives a flow:
//
//	device, err := app.NewDevice(app.DeviceConfig{Now: time.Now, Biometrics: look})
//	browser, err := app.NewBrowser(app.BrowserConfig{Person: app.Person{Username: "jane", Password: "..."}})
//	a, err := app.New(app.Config{StileURL: "https://id.bank.example", ClientID: "bank-app", ...})
//	result, err := a.Run(ctx, app.StartOptions{Target: "payments"})
//	answer, err := a.CallAPI(ctx, "https://payments.bank.example/transfers", result.Token)
//
// App.Run knows no flow. It looks at nextStep, answers it, and looks again
// until the run is completed. For the types that need a phone (a browser, a
// key, a choice) it has a handler each; everything else is filled in from the
// JSON Schema of the action, so that steps that are invented after the app
// was shipped work as long as they ask for something that the user knows.
//
// Lost answers do not matter: each request carries an Idempotency-Key of 128
// random bits and is repeated once, unchanged but for a fresh DPoP proof, if
// the connection breaks.
//
// Whoever wants to see the traffic puts a [Wire] around the transports of the
// app and of the browser: it reports each exchange and can cut any of them.
package app
