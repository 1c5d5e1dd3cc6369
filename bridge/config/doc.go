// Package config declares every setting, once: key, default, bounds, whose it is, what it
// takes to change it, and a sentence that says what it is.
//
// A setting is a field of an Application, which sites may share, or of a Site in front of it
// (application.go, spawn.go, site.go). Which of the two it is, says who is told: a backend
// knows no Site, and a site cannot change an application. Config has both, as a document or a
// command line does. The declaration is the field's tags:
//
//		Dial Duration `key:"dial" default:"2s" doc:"how long connecting to the application may take"`
//
//	  - key is its name; a struct's key and a dot come before it: "timeouts.dial". Groups of
//	    keys need not be structs, and one group may have settings of both.
//	  - doc is the sentence. {key} in it stands for another setting, by the name that the reader
//	    knows it by; value is the word in it that stands for the value.
//	  - default is the default as it is written. otherwise is that in words, where it depends on
//	    others or is known elsewhere. Zero always means the default, so a zero that is written is
//	    refused, unless the tag zero says what it means.
//	  - least and most are bounds; without them a number must not be negative.
//	  - words are all values there are. The first is the default, unless otherwise says another.
//	  - unit is "bytes" for what is written as a size.
//	  - change is what it takes to become another while requests run (Change).
//	  - flag is the flag of sluice serve if its name is not the key with hyphens, or "-" for none.
//	    On a struct it is what those of its fields are like: "*-timeout".
//	  - args, on a struct, are the fields that the words behind its name are for: spawn COMMAND.
//	  - phrase, commas and per are how a value is written: of several words, as a list with
//	    commas in one flag, with a time behind it ("3 per 10m").
//
// What goes by the declaration: Complete fills in defaults and checks; Differs and
// NeedsBackend compare applications; MarshalJSON and UnmarshalJSON are the JSON of the Caddy
// module; the flags of sluice serve and the options of the Caddyfile walk Settings and hand
// what is written to Set; docs/settings.md is written from it. Another format needs no more
// than Settings, Group and Set. What a setting does is for those who use the field.
//
// What always holds:
//
//   - Errors begin with the key, and say what is wanted. A front end that has other names puts
//     them in the place of keys; one that knows the line adds it.
//   - A name that there is not is an error with the nearest that there is (Unknown, Nearest).
//   - Nothing is defaulted or dropped silently: a value is taken as it is written, or refused.
//   - The package imports nothing of this module: checks that need to know what a setting is
//     for, such as whether a directory is there, are made where that is known.
package config
