// Package gateway answers the questions of proxies: may this request pass? So
// applications behind nginx (auth_request), Caddy (forward_auth), Traefik
// (ForwardAuth) or Envoy (ext_authz over HTTP) verify no token themselves.
//
// A [Resource] says what a part of a host asks for. Of all that fit a request the
// one with the longest path decides; where there is none, nobody passes.
//
// # Which request is asked about
//
// Each kind of proxy has a path of its own ([PathNginx], [PathForwarded],
// [PathEnvoy]), and there only the headers count that this kind sets itself: a
// client cannot pass off another request as its own by a header that the proxy
// hands through. Each has to be there once. Only proxies at the addresses of
// [Config.Proxies] are answered.
//
// A path has one spelling here. One that others might read differently (dot
// segments, empty segments, encoded slashes and letters, backslashes, path
// parameters, another case than the resource has) is refused, whatever it would
// mean. The query takes no part. Headers that ask the application to take the
// request for one of another method are refused.
//
// # What the application gets
//
// An answer 200 has every header of [Headers], empty where there is nothing to say;
// the proxy puts them in the place of those that the client may have sent. A
// question in which one of them occurs is refused: the proxy has not removed it, or
// a client tries its luck.
//
// # What others get
//
// 401 with a challenge (RFC 6750 §3, RFC 9470), 403, or 503 while nobody can tell:
// nobody passes then. They are those of package rp.
package gateway
