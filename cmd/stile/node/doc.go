// Package node is a running Stile: everything that a configuration asks for,
// wired and served.
//
//	n, err := node.Start(ctx, cfg, node.Options{Logger: logger, Now: time.Now})
//	if err != nil { ... }       // every mistake of the definitions at once
//	fmt.Println(n.URL())
//	defer n.Shutdown(ctx)
//
// "stile serve", the demo, tests and benchmarks start the same node. Nothing
// expensive happens at the start: no password is hashed, no provider is asked.
//
// # Keys
//
// One master key seals what is at rest. From it three keys are derived, each
// for one purpose: of the [seal.Sealer], of the pepper of passwords and PINs,
// and of the counters and decoys. Tokens are signed with keys of their own.
package node
