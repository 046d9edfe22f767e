package config

import "time"

// Config is the configuration of one node. Its field tags are its manual: yaml
// is the key, default what an absent key means, doc what it does. Make one with
// [Default], [Load] or [Parse].
type Config struct {
	Listen      string              `yaml:"listen" default:"127.0.0.1:8080" doc:"TCP address to serve on. Port 0 takes a free one."`
	BaseURL     string              `yaml:"base_url" doc:"External origin that clients reach this server by; it is the issuer of tokens. Required unless listen is a loopback address; then it follows from listen."`
	Definitions string              `yaml:"definitions" doc:"Folder of flow definitions. Without it the built-in examples are served."`
	DataDir     string              `yaml:"data_dir" default:"stile-data" doc:"Folder for everything below that names no place of its own. It is made if absent, for its owner alone."`
	Store       Store               `yaml:"store" doc:"Where runs, sessions, accounts and audit events are kept."`
	Keys        Keys                `yaml:"keys" doc:"The secrets that everything else rests on."`
	Tokens      Tokens              `yaml:"tokens" doc:"Tokens for target applications."`
	Runs        Runs                `yaml:"runs" doc:"Runs of flows, and the sessions that they leave."`
	Limits      Limits              `yaml:"limits" doc:"What one address may do without a handle that is right."`
	Passkeys    Passkeys            `yaml:"passkeys" doc:"Who passkeys are made for, and where they may be used."`
	Links       Links               `yaml:"links" doc:"Apps that open the links themselves that are mailed to people."`
	Devices     Devices             `yaml:"devices" doc:"Phones whose makers vouch for their keys."`
	Calls       Calls               `yaml:"calls" doc:"What steps may call over the network."`
	Assurance   Assurance           `yaml:"assurance" doc:"How levels are computed."`
	Delivery    Delivery            `yaml:"delivery" doc:"How codes and other messages reach people."`
	Hashing     Hashing             `yaml:"hashing" doc:"Costs of argon2id for new passwords and PINs, and how much of the machine all hashes together may take."`
	Passwords   Passwords           `yaml:"passwords" doc:"What may be set as a password."`
	Log         Log                 `yaml:"log" doc:"What the process tells its operator."`
	Audit       Audit               `yaml:"audit" doc:"Where audit events go."`
	Shutdown    Shutdown            `yaml:"shutdown" doc:"How the process ends."`
	Providers   map[string]Provider `yaml:"providers" doc:"Replaces parts of providers of the definitions, by name."`

	Directories map[string]Directory `yaml:"directories" doc:"Replaces parts of directories of the definitions, by name."`

	RelyingParties RelyingParties `yaml:"relying_parties" doc:"How relying parties are told that sessions have ended."`

	Gateway Gateway `yaml:"gateway" doc:"Answers proxies whether a request may pass."`
}

// Store says where data is kept.
type Store struct {
	Type        string        `yaml:"type" default:"sqlite" enum:"sqlite,memory,postgres" doc:"sqlite keeps everything in one file, for one machine; postgres in a PostgreSQL database, for many nodes; memory forgets everything at the end."`
	Path        string        `yaml:"path" doc:"The file of sqlite. Default: stile.db in data_dir."`
	Durability  string        `yaml:"durability" default:"full" enum:"full,normal" doc:"full survives a power failure; normal survives a crash of the process (of postgres: of the node) and may lose the last moments with the machine."`
	URL         string        `yaml:"url" doc:"The database of postgres: postgres://USER@HOST:PORT/NAME, without a password. Several hosts with target_session_attrs=read-write, sslrootcert, sslcert and sslkey are as libpq has them. Servers on other machines have to show a certificate that is right."`
	Password    Secret        `yaml:"password" doc:"Where the password of postgres is."`
	Connections int           `yaml:"connections" default:"16" min:"1" max:"10000" doc:"Connections of this node to postgres, at most. Who finds none free waits."`
	Timeout     time.Duration `yaml:"timeout" default:"5s" doc:"How long to wait for a connection to postgres, and then for an answer."`
	PgBouncer   bool          `yaml:"pgbouncer" default:"false" doc:"There is a pooler in transaction mode between: nothing is prepared, and durability is what the server says."`
	Migrate     string        `yaml:"migrate" default:"auto" enum:"auto,manual" doc:"auto: the first node of a new version brings the schema of postgres up to date at its start. manual: stile migrate does, and no node starts before."`
	Insecure    bool          `yaml:"insecure_network" default:"false" doc:"Believe any server at another machine, and speak to it without TLS if sslmode says so. The network has to be nobody else's."`
	Runs        RunStore      `yaml:"runs" doc:"Keeps what does not last elsewhere: runs, counters and one-time marks. Only beside postgres."`
}

// RunStore says where what does not last is kept, if not with everything else.
type RunStore struct {
	Type      string        `yaml:"type" default:"same" enum:"same,redis" doc:"same: with everything else; redis: in Redis or Valkey."`
	Keeps     []string      `yaml:"keeps" enum:"runs,counters,marks" doc:"What is kept there: runs, counters, marks. Default: all three."`
	Addresses []string      `yaml:"addresses" doc:"HOST:PORT of the server, of some nodes of the cluster, or of the sentinels."`
	Mode      string        `yaml:"mode" default:"single" enum:"single,cluster,sentinel" doc:"What answers at addresses: single, a server; cluster, its nodes; sentinel, sentinels."`
	Master    string        `yaml:"master" doc:"The name by which the sentinels know the server."`
	Username  string        `yaml:"username" doc:"Name to authenticate with. Default: none."`
	Password  Secret        `yaml:"password" doc:"Where the password is."`
	Sentinels Secret        `yaml:"sentinel_password" doc:"Where the password of the sentinels is."`
	TLS       bool          `yaml:"tls" default:"true" doc:"Speak TLS; the certificate has to be right. false is for servers on this machine."`
	CA        string        `yaml:"ca" doc:"File of the certificates (PEM) that theirs is held against. Default: those of the system."`
	Prefix    string        `yaml:"prefix" default:"stile:" doc:"Begins every key, without braces."`
	Timeout   time.Duration `yaml:"timeout" default:"2s" doc:"How long to wait for an answer."`
	Insecure  bool          `yaml:"insecure_network" default:"false" doc:"Let tls be false for servers on other machines. The network has to be nobody else's."`
}

// Keys says where the keys are.
type Keys struct {
	Master    Secret            `yaml:"master" doc:"32 random bytes in base64url, from which the keys of everything at rest are derived. Default: the file master.key in data_dir, made at the first start."`
	Pepper    string            `yaml:"pepper" doc:"Which of peppers new hashes of passwords and PINs are made with. Default: 1, which is derived from the master key."`
	Peppers   map[string]Secret `yaml:"peppers" doc:"Where peppers are, by ids of 1 to 8 characters: each 32 random bytes in base64url. Those that are not new any more stay here as long as hashes made with them do."`
	Signing   string            `yaml:"signing" doc:"File of the keys that sign tokens (PKCS#8 PEM, the one that signs last first). Default: they are in the store, sealed."`
	Algorithm string            `yaml:"algorithm" default:"ES256" enum:"ES256,EdDSA,ES384,PS256,RS256" doc:"Of signing keys that are made from now on."`
	Rotate    time.Duration     `yaml:"rotate" default:"2160h" doc:"How long a signing key in the store signs before the next one does; at least 1h. 0: until stile keys rotate. A file is changed by stile keys only."`
}

// Tokens bounds the lifetime of tokens.
type Tokens struct {
	TTL    time.Duration `yaml:"ttl" default:"5m" doc:"Lifetime of tokens whose target names none."`
	MaxTTL time.Duration `yaml:"max_ttl" default:"1h" doc:"Longest lifetime that a target may name."`
}

// Limits bounds what one address may do without a handle that is right.
type Limits struct {
	PerSecond int `yaml:"per_second" default:"100" min:"1" max:"1000000" doc:"Starts, and refused requests, a second and address that are answered in the long run."`
	Burst     int `yaml:"burst" default:"1000" min:"0" max:"1000000" doc:"How many of them at once. 0: no limit; so behind a proxy, where all come from one address."`

	WrongPerNetwork int           `yaml:"wrong_per_network" default:"300" min:"0" max:"1000000" doc:"Wrong answers from one network (/24, for IPv6 /64) within window, about whatever accounts. Loopback and private addresses have no limit: they are proxies. 0: no limit; so behind a proxy with a public address."`
	WrongPerClient  int           `yaml:"wrong_per_client" default:"0" min:"0" max:"1000000" doc:"Wrong answers in the runs of one app within window. 0: no limit; a stranger can spend what a public app may."`
	WrongPerDevice  int           `yaml:"wrong_per_device" default:"100" min:"0" max:"1000000" doc:"Wrong answers in the runs of one DPoP key within window, about whatever accounts: one phone is no help desk. 0: no limit."`
	Window          time.Duration `yaml:"window" default:"1h" doc:"The time that wrong_per_network and the others are for."`
}

// Runs bounds the lifetime of runs and sessions.
type Runs struct {
	TTL        time.Duration `yaml:"ttl" default:"10m" doc:"How long a run may take, at most an hour."`
	SessionTTL time.Duration `yaml:"session_ttl" default:"12h" doc:"How long a session lasts."`
}

// Passkeys is the relying party of WebAuthn credentials.
type Passkeys struct {
	RPID     string   `yaml:"rp_id" form:"host" doc:"Domain that passkeys are bound to for ever: the host of base_url or a domain above it. Default: the host of base_url; localhost if that is a loopback address."`
	Name     string   `yaml:"name" doc:"What people are shown when they make one. Default: rp_id."`
	Origins  []string `yaml:"origins" doc:"Where passkeys may be used, exactly: web origins at rp_id or below it, and android:apk-key-hash: with the SHA-256 hash of a signing certificate in base64url. Default: base_url, and the apps below."`
	Android  []string `yaml:"android" doc:"Android apps that may use them: PACKAGE/SHA256, the fingerprint of the signing certificate as keytool shows it. They are published at /.well-known/assetlinks.json, and their origins added to origins."`
	Apple    []string `yaml:"apple" doc:"iOS apps that may use them: TEAMID.BUNDLE. They are published at /.well-known/apple-app-site-association, and https://RP_ID is added to origins."`
	Metadata string   `yaml:"metadata" doc:"File of the makers of authenticators: the payload of a FIDO Metadata Service BLOB as JSON, whose signature was verified when it was fetched. Without it no attestation is trusted."`
}

// Links says who opens mailed links, instead of the browser.
type Links struct {
	Android []string `yaml:"android_apps" doc:"Android apps that may open links below /link: PACKAGE/SHA256, the fingerprint of the signing certificate as keytool shows it. They are published at /.well-known/assetlinks.json."`
	Apple   []string `yaml:"apple_apps" doc:"iOS apps that may: TEAMID.BUNDLE. They are published at /.well-known/apple-app-site-association."`
}

// Devices says which phones' attestations are believed.
type Devices struct {
	Android       []string      `yaml:"android_apps" doc:"Android apps whose keys are accepted: PACKAGE/SHA256, the fingerprint of the signing certificate as keytool shows it. Without any, no phone with Android can attest its key."`
	Apple         []string      `yaml:"apple_apps" doc:"iOS apps whose keys are accepted: TEAMID.BUNDLE. Without any, no iPhone can attest its key."`
	AndroidRoots  string        `yaml:"android_roots" doc:"File of certificates (PEM) that are roots of Android Key Attestation beside the two of Google that are built in."`
	AppleRoots    string        `yaml:"apple_roots" doc:"File of certificates (PEM) that are roots of App Attest beside that of Apple that is built in."`
	Revocations   string        `yaml:"revocations" doc:"File of the revoked certificates of Android phones, as https://android.googleapis.com/attestation/status has it; it is read again when it has changed. Without it no certificate is known to be revoked."`
	RevocationAge time.Duration `yaml:"revocation_max_age" default:"168h" doc:"How long ago that file may have been written. From then on no phone with Android is believed: attestations answer 503 until there is a newer one."`
	MinPatch      int           `yaml:"android_min_patch" default:"0" min:"0" max:"999912" doc:"The oldest month of Android's security patches that is accepted, as YYYYMM. 0: any."`
	MaxOpen       time.Duration `yaml:"android_max_open" default:"0s" doc:"How long a key of Android may stay open after the person was recognised. 0: each signature needs that again."`
	Development   bool          `yaml:"development" default:"false" doc:"Accept emulators and development builds, whose attestations prove nothing. Only for a server of this machine: base_url must be a loopback address."`
}

// Calls bounds what the step type http_call reaches.
type Calls struct {
	PrivateHosts []string `yaml:"private_hosts" form:"host" doc:"Names of hosts that may be at private, shared or loopback addresses. All others have to be at public ones."`
}

// Assurance departs from the rules by which levels are computed.
type Assurance struct {
	Deviations []string `yaml:"deviations" enum:"email_is_factor,server_pin_is_pin" doc:"Departures from NIST SP 800-63B-4 and RFC 8176, each reported by check. email_is_factor: a mailed code counts as something held, at most for aal1. server_pin_is_pin: a PIN that the server verifies is reported as pin."`
}

// Delivery says how codes and other messages reach people.
type Delivery struct {
	By             string        `yaml:"by" default:"none" enum:"none,smtp,webhook,file,console" doc:"What carries messages. none: steps that send answer 503. file and console write codes where people can read them: for development."`
	SMTP           SMTP          `yaml:"smtp" doc:"The mail server of smtp."`
	Webhook        Webhook       `yaml:"webhook" doc:"The web service of webhook: it gets each message as JSON, signed like the calls of http_call."`
	File           string        `yaml:"file" doc:"The file of file. Default: messages.txt in data_dir."`
	Texts          string        `yaml:"texts" doc:"Folder of texts of your own, TEMPLATE.LANGUAGE.txt, in the place of the built-in English and German ones or beside them."`
	PerAccount     int           `yaml:"per_account" default:"5" min:"1" max:"1000" doc:"Messages to one account within window, in all runs."`
	PerDestination int           `yaml:"per_destination" default:"5" min:"1" max:"1000" doc:"Messages to one address within window, whoever it belongs to."`
	PerClient      int           `yaml:"per_client" default:"0" min:"0" max:"1000000" doc:"Messages that the runs of one app send within window. 0: no limit."`
	PerDevice      int           `yaml:"per_device" default:"20" min:"0" max:"1000000" doc:"Messages that the runs of one DPoP key send within window. 0: no limit."`
	PerCountry     int           `yaml:"per_country" default:"0" min:"0" max:"1000000" doc:"Text messages to the numbers of one country within window. 0: no limit."`
	Total          int           `yaml:"total" default:"0" min:"0" max:"100000000" doc:"Messages of the whole deployment within window. 0: no limit."`
	Window         time.Duration `yaml:"window" default:"1h" doc:"The time that per_account and the others are for."`
	Quiet          []string      `yaml:"quiet" enum:"account_disabled,account_enabled,attempts_failed,authenticator_added,authenticator_locked,authenticator_removed,code_reused,link_denied,password_changed,recovery_code_used" doc:"Notices that the owners of accounts are not sent."`
	Countries      []string      `yaml:"countries" doc:"Calling codes, such as +41, of the only countries that text messages go to. Default: all."`
	Refused        []string      `yaml:"refused" doc:"First digits of numbers, such as +4179999, that no text message goes to, besides those that cost more than a call."`
}

// SMTP is a mail server.
type SMTP struct {
	Address  string `yaml:"address" doc:"HOST:PORT, such as mail.bank.example:587."`
	TLS      string `yaml:"tls" default:"starttls" enum:"starttls,implicit,none" doc:"starttls and implicit demand a certificate that is right; none is for a server on this machine."`
	From     string `yaml:"from" doc:"Address that mails come from."`
	Username string `yaml:"username" doc:"Name to authenticate with. Without it there is no authentication."`
	Password Secret `yaml:"password" doc:"Where its password is."`
}

// Webhook is a web service that takes messages.
type Webhook struct {
	URL    string `yaml:"url" doc:"https, or http on this machine."`
	Secret Secret `yaml:"secret" doc:"Where the secret of the signature is; at least 32 bytes."`
}

// Hashing is the costs of argon2id (RFC 9106).
type Hashing struct {
	Memory     int `yaml:"memory" default:"19456" min:"8" max:"131072" doc:"KiB per hash."`
	Time       int `yaml:"time" default:"2" min:"1" max:"10" doc:"Passes."`
	Threads    int `yaml:"threads" default:"1" min:"1" max:"8" doc:"Lanes."`
	Concurrent int `yaml:"concurrent" default:"0" min:"0" max:"1024" doc:"Hashes computed at once. 0: one for each core."`
	Total      int `yaml:"total" default:"262144" min:"8" max:"67108864" doc:"KiB that all of them may take together."`
	Queue      int `yaml:"queue" default:"0" min:"0" max:"1000000" doc:"Requests that wait for a hash; one more is told to come again at once. 0: 64 for each that is computed."`
}

// Passwords says what may be set as a password.
type Passwords struct {
	Blocked string   `yaml:"blocked" doc:"File of passwords that nobody may set, sorted by bytes (LC_ALL=C sort), one a line: in lower case, or as SHA-1 in capital hexadecimal digits with or without :COUNT, as breached passwords are published. It is searched where it lies and may have any length."`
	Words   []string `yaml:"words" doc:"Names of the service that no password may consist of, beside the host of base_url."`
}

// Log says what is logged. No secret ever is.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" doc:"The least important messages that are written."`
	Format string `yaml:"format" default:"json" enum:"json,console" doc:"json for machines, console for people. The log goes to standard error."`
}

// Audit says where audit events go. Wherever it is, an answer is withheld if its events cannot be recorded.
type Audit struct {
	To   string `yaml:"to" default:"store" enum:"store,stdout,file" doc:"store keeps them beside the data; stdout and file write one JSON object a line."`
	Path string `yaml:"path" doc:"The file of file. Default: audit.jsonl in data_dir."`
}

// Shutdown says how a node ends.
type Shutdown struct {
	Delay   time.Duration `yaml:"delay" default:"0s" doc:"How long to go on serving after /readyz has begun to say no, so that balancers notice."`
	Timeout time.Duration `yaml:"timeout" default:"15s" doc:"How long requests under way may take to finish."`
}

// Provider replaces parts of a provider of the definitions.
type Provider struct {
	Issuer            string `yaml:"issuer" doc:"Its issuer URL instead of the definitions'."`
	ClientSecret      Secret `yaml:"client_secret" doc:"Where its client secret is, instead of where the definitions say."`
	ClientKey         Secret `yaml:"client_key" doc:"Where the client's key is (PEM), likewise."`
	ClientCertificate Secret `yaml:"client_certificate" doc:"Where the client's certificate is (PEM), likewise."`
	CA                string `yaml:"ca" doc:"File of the certificates (PEM) that its own is held against. Default: those of the system."`
	Network           string `yaml:"network" default:"public" enum:"public,private,loopback" doc:"Where it may be: public addresses, private networks too (private), or this machine too, by plain HTTP as well (loopback): for trials."`
}

// Directory replaces parts of a directory of the definitions.
type Directory struct {
	URL          string `yaml:"url" doc:"Its address instead of the definitions'."`
	BindPassword Secret `yaml:"bind_password" doc:"Where the password of bind_dn is, instead of where the definitions say."`
	CA           string `yaml:"ca" doc:"File of the certificates (PEM) that its own is held against. Default: those of the system."`
}

// RelyingParties says how relying parties are told that sessions have ended.
type RelyingParties struct {
	CA      string `yaml:"ca" doc:"File of the certificates (PEM) that theirs are held against. Default: those of the system."`
	Network string `yaml:"network" default:"public" enum:"public,private,loopback" doc:"Where they may be: public addresses, private networks too (private), or this machine too (loopback): for trials."`
}

// Gateway answers proxies in front of applications.
type Gateway struct {
	Listen    string              `yaml:"listen" doc:"TCP address to answer proxies on. Without it there is no gateway. Port 0 takes a free one."`
	Proxies   []string            `yaml:"proxies" doc:"Networks, such as 10.1.0.0/16, of the proxies that are answered. Default: this machine."`
	Remember  int                 `yaml:"remember" default:"4096" min:"0" max:"10000000" doc:"How many verified tokens are remembered for each audience: none longer than it lives. 0: each is verified each time."`
	Resources map[string]Resource `yaml:"resources" doc:"Parts of hosts and what they ask for, by name. The longest path decides; what is in none is refused."`
	APIKeys   map[string]APIKey   `yaml:"api_keys" doc:"Keys of applications, by name."`
	Apps      map[string]App      `yaml:"apps" doc:"Applications in browsers whose people the gateway signs in, by name."`
}

// App is an application in browsers that has no tokens itself.
type App struct {
	Origin       string   `yaml:"origin" doc:"Where it is loaded from, such as https://shop.example."`
	ClientID     string   `yaml:"client_id" doc:"The client of the definitions that the gateway is for it, with auth: client_secret_basic and the redirect URI /bff/callback at the origin."`
	ClientSecret Secret   `yaml:"client_secret" doc:"Where the client's secret is."`
	Audience     string   `yaml:"audience" doc:"Of its tokens: the audience of one of the client's targets."`
	Scopes       []string `yaml:"scopes" doc:"Scopes that it asks for."`
	Cookie       string   `yaml:"cookie" doc:"Name of the cookie that holds the tokens, sealed; resources of the origin take it that name it. With https it begins with __Host-."`
}

// Resource is a part of a host behind a proxy, and what it asks for.
type Resource struct {
	Origin       string        `yaml:"origin" doc:"How clients reach the host, such as https://shop.example."`
	Path         string        `yaml:"path" doc:"It and everything below, such as /orders; / is all."`
	Methods      []string      `yaml:"methods" doc:"Methods that it is about; GET is HEAD too. Default: all."`
	For          string        `yaml:"for" default:"token" enum:"token,app,everyone" doc:"Who passes: who has a token as the keys below say, an application with a key, or everyone."`
	Audience     string        `yaml:"audience" doc:"The aud of tokens. Required for tokens."`
	Scopes       []string      `yaml:"scopes" doc:"Scopes that a token has to have, all of them."`
	ACR          []string      `yaml:"acr" doc:"Levels, one of which it has to have; the preferred one first."`
	AMR          []string      `yaml:"amr" doc:"Methods of authentication that it has to name, all of them."`
	MaxAge       time.Duration `yaml:"max_age" doc:"How old the authentication may be, in whole seconds. Default: any age."`
	Roles        []string      `yaml:"roles" doc:"Roles that it has to have, all of them."`
	Entitlements []string      `yaml:"entitlements" doc:"Entitlements that it has to have, all of them."`
	Cookie       string        `yaml:"cookie" doc:"Name of a cookie that may hold the token. With https it begins with __Host- or __Secure-."`
	Forward      string        `yaml:"forward" enum:"token" doc:"token: the application gets the token of the cookie as Authorization. Default: the headers alone."`
}

// APIKey is the key of an application.
type APIKey struct {
	Hash string   `yaml:"hash" doc:"SHA-256 of the key in base64url, as rp.NewAPIKey makes it. The key is in the header X-API-Key."`
	For  []string `yaml:"for" doc:"The resources that it is good for."`
}

// Secret names the place of a secret: one of the two, or neither.
type Secret struct {
	Env  string `yaml:"env" doc:"Name of the environment variable that holds it."`
	File string `yaml:"file" doc:"File that holds it; white space at its end is not part of it."`
}
