package main

import (
	"context"
	"errors"
	"net/url"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload [ADDR]",
		Short: "Have a running sluice load its configuration file again",
		Long: `Have a running sluice load its configuration file again, as SIGHUP does, and wait
until that is done. ADDR is its --status address: host:port or unix:/path.

The file is checked first: if anything is wrong with it, nothing changes. What does not
change goes on: applications keep their connections, processes and counters, and requests
end where they have begun. Settings of [server] that need a new start are named in the
log.

Exit status: 0 if the file is in force, 1 if it is not, with the reason, 2 if the command
line is invalid.`,
		Args: oneStatus,
		RunE: func(cmd *cobra.Command, args []string) error { return change(cmd, args, "/reload") },
	}
}

func restartCommand() *cobra.Command {
	application := ""
	cmd := &cobra.Command{
		Use:   "restart [ADDR]",
		Short: "Have a running sluice restart the applications that it has started",
		Long: `Have a running sluice restart the applications that it has started, as SIGUSR2 does: one
process after the other and without losing a request. It waits until that is done. ADDR is
its --status address: host:port or unix:/path.

Exit status: 0 if they were restarted, 1 if not, with the reason, 2 if the command line is
invalid.`,
		Args: oneStatus,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/restart"
			if application != "" {
				path += "?application=" + url.QueryEscape(application)
			}
			return change(cmd, args, path)
		},
	}
	cmd.Flags().StringVar(&application, "application", "", "only the application with that `NAME` in the configuration file")
	return cmd
}

func upgradeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade [ADDR]",
		Short: "Have a running sluice replaced by the program that is installed now",
		Long: `Have a running sluice start its program again, as it is installed now and with the same
arguments, and hand its listening sockets over to it, as SIGRTMIN+1 does. It waits until
the new process serves. ADDR is the --status address: host:port or unix:/path.

No connection is refused: the former process takes no more of them when the new one
serves, and finishes its requests within --drain-timeout. Meanwhile both share the
workers of applications, which never see more connections than these. Applications that
sluice starts itself are started anew, and both are there until the former process ends.

If the new process cannot take over - the file has mistakes, a command does not start -
the former one goes on as if nothing had happened. The first process of a container is not
replaced, because all others end with it.

Exit status: 0 if a new process serves, 1 if not, with the reason, 2 if the command line
is invalid.`,
		Args: oneStatus,
		RunE: func(cmd *cobra.Command, args []string) error { return change(cmd, args, "/upgrade") },
	}
}

// oneStatus takes one --status address at most.
func oneStatus(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return errors.New("name one --status address: host:port or unix:/path")
	}
	return nil
}

// change asks a running sluice for a change, and prints what came of it.
func change(cmd *cobra.Command, args []string, path string) error {
	source, err := statusSource(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	text, err := source.Change(ctx, path)
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted: whether it was done is not known")
	}
	if err != nil {
		return failure(err)
	}
	return write(cmd.OutOrStdout(), []byte(text), nil)
}
