package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// flagSynonyms returns the names that other servers have for flags of ours.
func flagSynonyms() map[string]string {
	words := map[string]string{
		"port": "listen", "bind": "listen", "address": "listen",
		"maxconn": "max-connections", "worker-connections": "max-connections",
		"log": "access-log", "admin": "status", "metrics": "status",
	}
	for word, key := range config.OtherWords {
		words[word] = config.Lookup(key).Flag
	}
	return words
}

// notANumber matches the flag parser's errors for numbers.
var notANumber = regexp.MustCompile(`strconv\.Parse[A-Za-z]+: parsing ".*": (invalid syntax|value out of range)`)

// explainFlagError rewords an error of the flag parser, and suggests the nearest flag.
func explainFlagError(cmd *cobra.Command, err error) error {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		if _, ok := wrong.GetFlag().Value.(settingFlag); ok {
			return fmt.Errorf("--%s: %w", wrong.GetFlag().Name, wrong.Unwrap())
		}
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return errors.New(notANumber.ReplaceAllString(err.Error(), "not a number, or too large a one"))
	}
	name := unknown.GetSpecifiedName()
	if all := unknown.GetSpecifiedShortnames(); all != "" { // "-listen"
		name, _, _ = strings.Cut(all, "=")
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	switch best := config.Nearest(name, known, flagSynonyms()); {
	case best != "":
		return fmt.Errorf("%w; did you mean --%s?", err, best)
	case cmd.HasParent():
		return fmt.Errorf("%w; \"%s --help\" lists all", err, cmd.CommandPath())
	}
	if serve, _, notFound := cmd.Find([]string{"serve"}); notFound == nil && serve.Flags().Lookup(name) != nil {
		return fmt.Errorf("%w; it is one of \"%s\"", err, serve.CommandPath())
	}
	if name == "v" || name == "version" {
		return fmt.Errorf("%w; did you mean \"%s version\"?", err, cmd.CommandPath())
	}
	return fmt.Errorf("%w; \"%s --help\" lists the commands, which have flags", err, cmd.CommandPath())
}

// checkTopic is an argument check that permits a command, and one of its own.
func checkTopic(cmd *cobra.Command, args []string) error {
	at := cmd.Root()
	for _, name := range args {
		switch next, _, err := at.Find([]string{name}); {
		case err == nil && next != at:
			at = next
		case at.HasAvailableSubCommands():
			return checkCommand(at, []string{name})
		default:
			return fmt.Errorf("unknown command %q: \"%s\" has none of its own", name, at.CommandPath())
		}
	}
	return nil
}

// checkCommand is an argument check that permits commands only.
func checkCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	if best := config.Nearest(args[0], known, map[string]string{"run": "serve", "start": "serve", "check": "config", "validate": "config"}); best != "" {
		return fmt.Errorf("unknown command %q; did you mean \"%s %s\"?", args[0], cmd.Name(), best)
	}
	return fmt.Errorf("unknown command %q; there are %s", args[0], strings.Join(known, ", "))
}
