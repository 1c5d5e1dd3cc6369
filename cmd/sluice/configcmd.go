package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

//go:embed example.toml
var exampleFile []byte

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show and describe configuration files",
		Long: `Check, show and describe files for "sluice serve --config FILE". docs/configuration.md
explains them.`,
		Args: checkCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		configCheckCommand(),
		&cobra.Command{
			Use:   "show [FILE]",
			Short: "Print everything that is in force with a configuration file",
			Long: `Print everything that is in force with a configuration file, ` + defaultFile + ` if
none is named: each setting with its value, and where that comes from: a line of the
file, the default, or what other settings say. The output is a configuration file.`,
			Args: oneFile,
			RunE: func(cmd *cobra.Command, args []string) error {
				f, err := tomlfile.Load(fileOf(args), nil)
				if err != nil {
					return failure(err)
				}
				text, err := f.Show()
				return write(cmd.OutOrStdout(), text, err)
			},
		},
		&cobra.Command{
			Use:   "example",
			Short: "Print a configuration file to begin with",
			Args:  cobra.NoArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return write(cmd.OutOrStdout(), exampleFile, nil) },
		},
		&cobra.Command{
			Use:   "schema",
			Short: "Print a JSON Schema of configuration files, for editors",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return write(cmd.OutOrStdout(), tomlfile.Schema(), nil)
			},
		},
	)
	return cmd
}

func configCheckCommand() *cobra.Command {
	as := ""
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file",
		Long: `Check a configuration file, ` + defaultFile + ` if none is named. It prints all that is wrong,
each with its line and column, and what works and is probably not meant. Nothing is
started, and no application is connected to; directories, password files and
certificates must be there, and keys must fit.

Root may read what Sluice may not. So if a file belongs to the user or the group "` + serviceUser + `", as
that of the packages does, root checks it as that user; --user names another one, and
--user root checks as root.

Exit status: 0 if the file can be served, 1 if not.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := fileOf(args)
			u, err := readerOf(as, path)
			if err != nil {
				return err
			}
			return failure(checkAs(cmd.Context(), u, path, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	cmd.Flags().StringVar(&as, "user", "", "check as the user `NAME`, who Sluice will run as")
	return cmd
}

func write(w io.Writer, text []byte, err error) error {
	if err == nil {
		_, err = w.Write(text)
	}
	return failure(err)
}

// oneFile takes one file at most.
func oneFile(_ *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] == "" {
		return errors.New("name one configuration file")
	}
	return nil
}

func fileOf(args []string) string {
	if len(args) == 0 {
		return defaultFile
	}
	return args[0]
}

// checkFile makes all of a configuration that can be made without starting anything. If it is in order, it
// says for whom.
func checkFile(path, forWhom string, out io.Writer) error {
	c, err := loadFile(path, nil)
	if err != nil {
		return err
	}
	if err := cmp.Or(c.checkAccessLog(), c.checkOwners()); err != nil {
		return c.ServerError(err)
	}
	s := newServer(&accessLog{}, &errorLog{log: slog.New(slog.DiscardHandler)}, nil)
	defer s.close()
	g, err := s.build(c)
	if err != nil {
		return err
	}
	defer g.release()
	for _, sentence := range c.renamed {
		fmt.Fprintf(out, "note: %s\n", sentence)
	}
	for _, w := range c.warnings {
		fmt.Fprintf(out, "note: %s\n", w)
	}
	for _, note := range append(g.notes, c.checkSockets()...) {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	for i, site := range g.sites {
		for _, unused := range site.bridge.Unused() {
			fmt.Fprintf(out, "note: %s\n", g.SiteError(i, fmt.Errorf("%w (it has no effect)", unused)))
		}
	}
	fmt.Fprintf(out, "%s: in order%s (%s, %s)\n", path, forWhom, plural(len(c.Applications), "application"), plural(len(c.Sites), "site"))
	return nil
}

// plural is a number of things: "1 site", "2 sites".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
