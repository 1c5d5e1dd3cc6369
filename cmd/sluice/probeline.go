package main

import (
	"path"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/probe"
)

// serveLine is the command line that serves what was probed, for a shell. What serve
// does anyway is left out, and a number of workers that is not known is not made up.
func serveLine(cfg probe.Config, a probe.Advice) string {
	args := []string{"sluice", "serve", "--backend", cfg.Address}
	if cfg.Script != "" {
		preset := "cgi"
		if strings.HasSuffix(cfg.Script, ".php") {
			preset = "php"
		}
		args = append(args, "--preset", preset, "--root", path.Dir(cfg.Script))
	}
	if a.Workers > 0 {
		args = append(args, "--workers", strconv.Itoa(a.Workers))
	}
	if a.KeepAlive == "off" {
		args = append(args, "--keep-alive", a.KeepAlive)
	}
	if a.Multiplex == "off" {
		args = append(args, "--multiplex", a.Multiplex)
	}
	for i, arg := range args {
		args[i] = shellWord(arg)
	}
	return strings.Join(args, " ")
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
