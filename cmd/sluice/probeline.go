package main

import (
	"os/user"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/probe"
)

// unknownRoot is the placeholder for an unknown directory of the scripts.
const unknownRoot = "DIRECTORY"

// serveLine returns the command line for a shell that serves the probed application. It omits
// defaults, and --workers if the number is not known.
func serveLine(cfg probe.Config, a probe.Advice) string {
	args := []string{"sluice", "serve", "--backend", cfg.Address}
	if a.Preset != "" {
		root := unknownRoot
		if cfg.Script != "" {
			root = path.Dir(cfg.Script)
		}
		args = append(args, "--preset", a.Preset, "--root", root)
	}
	if a.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(a.Workers))
	}
	if a.Multiplex == "off" {
		args = append(args, "--multiplex", a.Multiplex)
	}
	return shellLine(args)
}

// spawnLine returns the command line that starts several processes of a program that serves one
// request at a time; empty for other programs. It starts two processes for each processor, on the
// assumption that they wait for other programs half of the time.
func spawnLine(a probe.Advice) string {
	p := a.OneAtATime
	if p == nil {
		return ""
	}
	args := []string{"sluice", "serve", "--workers", "1", "--command-instances", strconv.Itoa(2 * runtime.NumCPU())}
	if p.Dir != "" && p.Dir != "/" {
		args = append(args, "--command-dir", p.Dir)
	}
	if me, err := user.Current(); err == nil && p.User != "" && p.User != me.Username {
		args = append(args, "--command-user", p.User)
	}
	args = append(args, "--")
	if len(p.Arguments) == 0 {
		return shellLine(append(args, "COMMAND"))
	}
	return shellLine(append(args, p.Arguments...))
}

func shellLine(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = shellWord(arg)
	}
	return strings.Join(words, " ")
}

// shellWord quotes s if a shell would not read it as one word.
func shellWord(s string) string {
	plain := strings.IndexFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("-_./:,@%+=", r)
	}) < 0
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
