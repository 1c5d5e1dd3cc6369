package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

func main() {
	supervise.Child()
	setCollector()
	os.Exit(run(os.Args[1:], timedWriter{os.Stderr}))
}

// timedWriter waits for a write for a limited time: standard error may have no reader.
type timedWriter struct{ to io.Writer }

func (b timedWriter) Write(p []byte) (int, error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.to.Write(p) // there is no other place for the message
	}()
	select {
	case <-done:
	case <-time.After(logFlush):
	}
	return len(p), nil
}

// runError is a failure after a valid command line: exit status 1.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// run executes one command line and returns the exit status. An error is one line on stderr, of a
// configuration file a line for each problem.
func run(args []string, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	return exitStatus(root.Execute(), stderr)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "A gate in front of old web applications",
		Long: `Sluice is a gate in front of old web applications: it takes HTTP requests, speaks
FastCGI, SCGI, uwsgi or HTTP to the application, and never asks more of it at once than
it can hold.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              checkCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(explainFlagError)
	root.AddCommand(serveCommand(), configCommand(), convertCommand(), reloadCommand(), restartCommand(), upgradeCommand(), probeCommand(), statusCommand(), demoCommand(), versionCommand())
	root.AddCommand(packaging()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() { // cobra's own take any argument
		switch cmd.Name() {
		case "help":
			cmd.Args = checkTopic
		case "completion":
			cmd.Args = checkCommand
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}
