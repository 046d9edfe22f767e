// Package demo plays a story on real parts: a server exactly as "stile serve"
// runs it, an OpenID provider, a business API and a mobile app, each on its own
// loopback port and spoken to over HTTP only.
//
// The story has four runs of flows. The first is the seventeen steps of a
// sign-on at a remote provider; the others add a second factor, bind the phone,
// and use it. What is printed is rendered from the HTTP exchanges between the
// parts, as they happen. Every step is also a check: a scene is a list of
// steps, each waits for the exchange that is it and looks whether that says
// what it should. [Play] ends with a [StepError] at the first that does not,
// or never comes. The provider is one that the story starts, or any other: see
// [Provider].
package demo
