// Package config is Stile's configuration file: one YAML file in which
// everything has a default, so that the empty file, and none, are valid.
//
//	listen: 0.0.0.0:8443
//	base_url: https://id.bank.example
//	definitions: ./flows
//	store: { type: sqlite, path: /var/lib/stile/stile.db }
//	keys: { master: { env: STILE_MASTER_KEY } }
//	providers:
//	  corporate: { issuer: "https://login.bank.example", client_secret: { file: /run/secrets/corporate } }
//
// It is read as strictly as flow definitions: unknown keys, keys that stand
// there twice, aliases, tags and nulls are mistakes, and all mistakes are
// reported at once, each with its place. Relative paths are relative to the
// folder of the file. Secrets never stand in the file: it names an environment
// variable or a file that holds them.
//
// [Fields] lists every key with its default and what it means.
package config
