// Package config declares every setting once: its key, default, bounds, owner, what a change
// of it requires, and one sentence of documentation.
//
// A setting is a field of Application or of Site (application.go, spawn.go, authorizer.go, site.go). The
// struct is the owner: several sites may share an application, which is configured with
// an Application alone, and a site with a Site alone. Config holds both, because a command
// line, a Caddyfile block or a JSON object describes both. The tags of the field are the
// declaration:
//
//		Dial Duration `key:"dial" default:"2s" doc:"how long connecting to the application may take"`
//
//	  - key: the name. The keys of nested structs are joined by dots: "timeouts.dial". A key may
//	    contain dots itself, so one group of keys may have fields of Application and of Site.
//	  - was: the whole former key, which is still accepted; the former flag is that key with
//	    hyphens.
//	  - doc: the sentence. {key} refers to another setting, and is replaced by the name that the
//	    reader knows: a flag, or a key.
//	  - value: the word in doc that stands for the value, as in "working DIR of the command".
//	  - default: the default, as a user would write it. otherwise: the default in words, if it
//	    depends on other settings or is determined elsewhere.
//	  - zero: what 0 means. A zero value always selects the default, so front ends refuse a
//	    written 0 for settings without this tag.
//	  - least, most: bounds. Without them, numbers must not be negative.
//	  - words: the permitted values. The first one is the default, unless otherwise is given.
//	  - unit: "bytes" for sizes.
//	  - change: what is required to change the value while requests run; see Change.
//	  - flag: the flag of sluice serve, if it is not the key with hyphens; "-" for none. On a
//	    struct: the pattern for its fields, "*-timeout".
//	  - args: on a struct, the fields that take the arguments after its name in a Caddyfile:
//	    spawn COMMAND.
//	  - phrase, commas, per: the notation. The value may have several words; the flag takes a
//	    comma-separated list; a duration follows ("3 per 10m"), whose key this is.
//
// Begin with setting.go: a [Setting] is one declaration, and [Settings] lists them all. Complete
// fills in defaults and checks values. Differs and NeedsBackend compare applications.
// MarshalJSON and UnmarshalJSON implement the JSON of the Caddy module. The flags of sluice
// serve and the options of the Caddyfile iterate over Settings and call Set; a [Written] accepts
// former names. A test generates the tables of docs/settings.md.
//
// A [Standalone] is the configuration of sluice serve: a [Server] (server.go), and applications and
// sites with what only a file says of them (standalone.go). Each struct has a [Schema] of its own, by
// the same tags. The file is read with Assign, and written with Get (assign.go).
//
// What always holds:
//
//   - An error begins with the key and says what is wanted. Front ends replace the key by the
//     name that their users know, or add the line.
//   - A former name has the meaning of the present one. Both at once are an error. The log tells
//     the present name; an error about the value begins with the name that the user wrote.
//   - An unknown name is an error that suggests the nearest known one.
//   - A value is taken as written, or refused. It is never replaced by a default silently.
//   - The package imports no other package of this module. Checks that need to know what a
//     setting is for, such as whether a directory exists, are made by the package that uses it.
package config
