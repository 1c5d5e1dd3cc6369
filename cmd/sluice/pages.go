//go:build pages

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// The manual pages and shell completions of the packages, which are made by "go run -tags pages
// ./cmd/sluice pages DIR DATE". What makes them is not in the program itself.

func packaging() []*cobra.Command {
	return []*cobra.Command{{
		Use: "pages DIR DATE", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			date, err := time.Parse(time.DateOnly, args[1])
			if err == nil {
				err = pages(cmd.Root(), args[0], date)
			}
			return failure(err)
		},
	}}
}

func pages(root *cobra.Command, dir string, date time.Time) error {
	man := filepath.Join(dir, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	header := doc.GenManHeader{Section: "1", Source: "Sluice", Manual: "Sluice", Date: &date}
	if err := doc.GenManTree(root, &header, man); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(man, "sluice.toml.5"), md2man.Render(settingsPage(date)), 0o644); err != nil {
		return err
	}
	for name, write := range map[string]func(string) error{
		"sluice.bash": func(file string) error { return root.GenBashCompletionFileV2(file, true) },
		"_sluice":     root.GenZshCompletionFile,
		"sluice.fish": func(file string) error { return root.GenFishCompletionFile(file, true) },
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// settingsPage is sluice.toml(5) in Markdown: the example, and all settings by table.
func settingsPage(date time.Time) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%% SLUICE.TOML 5 %q \"Sluice\" \"Sluice\"\n", date.Format("January 2006"))
	b.WriteString("# NAME\nsluice.toml - the configuration file of sluice serve\n\n# SYNOPSIS\n" + defaultFile + "\n\n")
	b.WriteString("# DESCRIPTION\nThe file is TOML. \"sluice config check\" says all that is wrong with it, and \"sluice config show\" prints all that is in force with it. \"sluice reload\", or systemctl reload sluice, loads it again. A setting of a group is written with dots: timeouts.dial = \"3s\". Times (\"3s\") and sizes (\"20MiB\") are in quotes.\n\n")
	b.WriteString("# EXAMPLE\n")
	for line := range strings.Lines(string(exampleFile)) {
		b.WriteString("    " + line)
	}
	for _, table := range []struct {
		name   string
		schema *config.Schema
	}{
		{"[server]", new(config.Server).Schema()},
		{"[[application]]", new(config.NamedApplication).Schema()},
		{"[[site]]", new(config.HostedSite).Schema()},
	} {
		fmt.Fprintf(&b, "\n# SETTINGS OF %s\n", escape(table.name))
		for _, s := range table.schema.Settings {
			fmt.Fprintf(&b, "**%s**\n: %s\n\n", escape(s.Key), escape(explain(s)))
		}
	}
	b.WriteString("# SEE ALSO\n**sluice-serve**(1), **sluice-config**(1), **sluice-reload**(1)\n")
	return []byte(b.String())
}

// explain says what a setting is, and what it is otherwise.
func explain(s *config.Setting) string {
	key := func(s *config.Setting) string { return s.Key }
	text := s.Explain(key)
	unset := s.Default
	if unset == "" {
		unset = s.Preset(key)
	}
	if unset == "" {
		unset = s.Zero
	}
	if len(s.Words) > 0 {
		text += ". One of " + strings.Join(s.Words, ", ")
	}
	if unset != "" {
		text += ". Default: " + unset
	}
	if s.Change == config.Restart {
		text += ". A change needs a new start of sluice serve"
	}
	return text + "."
}

// escape keeps text from being taken for Markdown.
var escape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "<", `\<`, "[", `\[`, "]", `\]`).Replace
