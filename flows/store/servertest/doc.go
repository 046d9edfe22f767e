// Package servertest starts real servers for tests: PostgreSQL, PgBouncer, Redis.
//
// They are private ones: on loopback, in a temporary folder of their own. Each is started by the
// first test of a process that asks for it, and ends with the process, however that
// ends: a guard waits for the other end of a pipe to close, stops the server
// and removes the folder.
//
//	func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }
//
//	func TestStore(t *testing.T) {
//		url := servertest.Postgres(t).Database(t, "")
//	}
//
// A machine that lacks a server skips the test; in CI (CI=true) the test fails.
package servertest
