// Package stage makes the worlds that scenarios of flows are played in: the real
// engine and step types on a store in memory, one person with real secrets, a
// phone in software, and a provider of package oidctest for each provider of the
// definitions. Nothing leaves the machine, and time is virtual.
package stage
