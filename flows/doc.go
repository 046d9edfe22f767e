// Package flows is the machine that runs flow definitions, and the engine around it.
//
// A run is one execution of a flow. Its handle is the secret that continues it;
// its turn is the number of the prompt that it shows. Everything that a run
// remembers is its [State], which is data.
//
// The machine is one pure function, advance: from a compiled definition, a
// state, and what happened, it makes the next state and says what the shell has
// to do. It alone decides what comes next, whether evidence is recorded, and,
// at the end, whether the assurance gate opens.
//
// The [Engine] is the shell: one request opens the run of a handle, takes in
// whom the answer claims to be, reserves an attempt, lets the step check the
// answer, drives the machine with what the step decided, and stores the result
// with one compare-and-swap; then the audit events are recorded, and only then
// the client is answered. Whoever loses the swap has changed nothing.
//
// A [StepType] is a kind of step. A step only decides an [Outcome]; expiry,
// turns, attempts, evidence, levels, audit and issuing are the engine's.
// Stores, sessions, throttle, marks, accounts, recorder and propagators are
// interfaces in this package that drivers and adapters implement.
package flows
