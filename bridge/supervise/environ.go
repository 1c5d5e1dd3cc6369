package supervise

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/supervise/internal/proc"
)

// inherited are the variables that every command gets. Others may be secrets, or make a program
// behave differently on another machine.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR"}

// environment is the environment of the processes, sorted by name.
func (c *Config) environment(ours []string, who *proc.Account) ([]string, error) {
	variables := make(map[string]string)
	for _, kv := range ours {
		if k, v, ok := strings.Cut(kv, "="); ok && (matches(inherited, k) || matches(c.EnvCopy, k)) {
			variables[k] = v
		}
	}
	if who != nil && who.Name != "" {
		variables["HOME"], variables["USER"], variables["LOGNAME"] = who.Home, who.Name, who.Name
	}
	for _, name := range c.EnvCopy {
		if stem := strings.TrimSuffix(name, "*"); stem == "" || strings.ContainsAny(stem, "=*\x00") {
			return nil, fmt.Errorf("environment: %q: want the name of a variable, or its beginning and \"*\"", name)
		}
	}
	var given []string
	for _, kv := range c.Env {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || k == "" || strings.ContainsRune(kv, 0) {
			return nil, fmt.Errorf("environment: %q: want NAME=value", kv)
		}
		if slices.Contains(given, k) {
			return nil, fmt.Errorf("environment: %s is given twice", k)
		}
		given = append(given, k)
		variables[k] = v
	}
	list := make([]string, 0, len(variables))
	for k, v := range variables {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list, nil
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		stem, prefix := strings.CutSuffix(p, "*")
		return p == name || prefix && strings.HasPrefix(name, stem)
	})
}

// warnOfRoot logs that the command runs as root, unless that is configured.
func (p *plan) warnOfRoot() {
	if os.Geteuid() == 0 && p.User == "" {
		p.Logger.Warn("the command runs as root, as this process does: a fault in it opens the whole machine",
			"command", p.Command[0], "advice", "name the user it is to run as: spawn.user (--command-user); or root, if it must be")
	}
}
