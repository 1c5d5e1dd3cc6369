package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/convert"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// leftStatus is the exit status of a conversion that has left something out.
const leftStatus = 3

func convertCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Make a configuration file of that of nginx, lighttpd, Apache or Caddy",
		Long: `Make a configuration file of that of nginx, lighttpd, Apache or Caddy: the sluice.toml
that serves the same applications. FILE is the one in which the configuration begins,
such as /etc/nginx/nginx.conf, or that of a single site; files that it includes are read,
too. The result is printed. What could not be carried over is in comments at its top and
on standard error, with file, line and column.

Nothing is started or changed. How many workers an application has is not written in most
of these files: set "workers" (sluice probe finds it out), and check the result with
"sluice config check". docs/convert.md says what is carried over.

Exit status: 0 if everything was carried over, 3 if not, 1 if the file cannot be
converted; then nothing is printed.`,
		Example: `  sluice convert /etc/nginx/sites-enabled/wiki > sluice.toml
  sluice convert --from apache /etc/apache2/apache2.conf > sluice.toml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("name the one file to convert, such as /etc/nginx/nginx.conf")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := convert.Kind(from)
			if from != "" && !slices.Contains(convert.Kinds(), kind) {
				return fmt.Errorf("--from: is %q, want nginx, lighttpd, apache or caddy", from)
			}
			r, err := convert.File(args[0], kind)
			if err != nil {
				return failure(inFile(err))
			}
			text, err := converted(args[0], r)
			if err := write(cmd.OutOrStdout(), text, err); err != nil {
				return err
			}
			return leftOut(cmd.ErrOrStderr(), r.Left)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the `server` whose file it is: nginx, lighttpd, apache or caddy (default: found out)")
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"nginx", "lighttpd", "apache", "caddy"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// converted is the file that a result means, with what is to be known of it at its top.
func converted(path string, r *convert.Result) ([]byte, error) {
	settings, err := tomlfile.Write(r.Config)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Made by \"sluice convert\" of %s (%s).\n", path, r.Kind)
	for _, a := range r.Config.Applications {
		if a.Workers == 0 {
			fmt.Fprintf(&out, "# %s: set workers to the number of its threads or processes; it is 4 otherwise.\n", a.Name)
		}
	}
	for i, left := range r.Left {
		if i == 0 {
			fmt.Fprintln(&out, "#\n# Not carried over:")
		}
		for line := range strings.SplitSeq(left.Error(), "\n") {
			fmt.Fprintf(&out, "#   %s\n", line)
		}
	}
	out.WriteByte('\n')
	out.Write(settings)
	if _, err := tomlfile.Parse("sluice.toml", out.Bytes()); err != nil {
		return nil, fmt.Errorf("%s: what it means is no configuration of Sluice:\n%w", path, err)
	}
	return out.Bytes(), nil
}

// leftOut prints what was not carried over, and returns that there is something.
func leftOut(stderr io.Writer, left tomlfile.Problems) error {
	if len(left) == 0 {
		return nil
	}
	for _, p := range left {
		fmt.Fprintln(stderr, p)
	}
	return &statusError{leftStatus, fmt.Errorf("%s not carried over, as said above and at the top of the output", plural(len(left), "directive"))}
}

// inFile is an error about what is in a file, such that its line begins with the file's name.
func inFile(err error) error {
	if problem, ok := errors.AsType[*tomlfile.Problem](err); ok {
		return tomlfile.Problems{problem}
	}
	return err
}
