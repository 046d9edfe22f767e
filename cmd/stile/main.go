// Command stile is a multi-step authentication flow engine.
//
//	stile demo          plays a story on real parts in one process
//	stile serve         serves the flows of a folder, or the built-in examples
//	stile check [DIR]   loads definitions and reports every mistake
//	stile test [DIR]    plays the scenarios beside definitions
//	stile diff OLD NEW  says what a change of definitions allows more and less
//	stile graph FLOW    draws a flow
//	stile steps         says what the step types ask, take and prove
//	stile schema        prints the JSON Schema of definitions
//	stile openapi       prints the OpenAPI description of the API
//	stile keys          lists and makes the keys that sign tokens
//	stile users         adds accounts, and changes them
//	stile clients       adds clients to the store, and changes them; makes secrets
//	stile migrate       brings the schema of the store up to date
//	stile version       says what this is
//
// Exit codes: 0 it worked, 1 it did not, 2 the command line was wrong.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
