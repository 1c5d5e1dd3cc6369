// Package tomlfile reads and writes the configuration file of sluice serve. What may stand there
// follows from the declarations of package config: no key, default or check is declared here.
//
// Begin with file.go: Load reads a file into a config.Standalone. parse.go has the syntax, with the
// position of each key; assign.go gives the values to the settings; check.go finds what is wrong
// between tables. write.go and show.go write files, schema.go describes them for editors.
//
// What always holds:
//
//   - All mistakes are reported, each with its line and column, in their order. After a mistake in
//     the syntax, there is no telling what follows.
//   - A File without mistakes is complete: defaults are filled in, and names resolved.
//   - Nothing is written, opened or connected to but the file itself.
package tomlfile
