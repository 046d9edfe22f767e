// Command stile is a multi-step authentication flow engine.
//
//	stile demo          plays a whole story on real parts in one process
//	stile serve         serves the flows of a folder, or the built-in examples
//	stile check [DIR]   loads definitions and reports every mistake
//	stile keys          lists and makes the keys that sign tokens
//	stile users add     adds an account
//	stile users unlock  forgets failed attempts
//	stile clients       what is done to the clients of the store; makes secrets
//	stile migrate       brings the schema of the store up to date
//	stile version       says what this is
//
// Exit codes: 0 it worked, 1 it did not, 2 the command line was wrong.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
