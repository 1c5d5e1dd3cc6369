package main

import (
	"os/user"
	"path"
	"runtime"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/probe"
)

// unknownRoot stands for the directory of the scripts where that is not known.
const unknownRoot = "DIRECTORY"

// serveLine is the command line that serves what was probed, for a shell. What serve
// does anyway is left out, and a number of workers that is not known is not made up.
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

// spawnLine is the command line that has several processes started of a program that
// serves one request at a time; empty if it does not. There are as many as the machine has
// processors, twice: they wait for others half of the time.
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

// shellWord quotes s if a shell would not take it as one word as it is.
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
