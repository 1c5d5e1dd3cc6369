package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// noFlag are the keys that sluice serve leaves alone.
var noFlag = map[string]bool{
	"admission.wait_target": true, "admission.unknown": true, "admission.long_min": true,
	"admission.flow_rate": true, "admission.flow_burst": true, "admission.spent_limit": true,
}

// Every key of bridge.Config has a flag that there is.
func TestEveryKeyHasItsFlag(t *testing.T) {
	var o options
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	for _, key := range keysOf("", reflect.TypeFor[bridge.Config]()) {
		flag, ok := flagOf[key]
		if strings.HasPrefix(key, "spawn.") {
			flag, ok = commandFlag(key), key != "spawn.command"
		}
		if !ok && !noFlag[key] && key != "spawn.command" {
			t.Errorf("%s has no flag", key)
		}
		if ok && f.Lookup(strings.TrimPrefix(flag, "--")) == nil {
			t.Errorf("%s: there is no %s", key, flag)
		}
	}
}

func keysOf(prefix string, of reflect.Type) (keys []string) {
	for f := range of.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		typ := f.Type
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case !f.IsExported() || key == "" || key == "-":
		case typ.Kind() == reflect.Struct && key != "budget":
			keys = append(keys, keysOf(prefix+key+".", typ)...)
		default:
			keys = append(keys, prefix+key)
		}
	}
	return keys
}

func TestFlagError(t *testing.T) {
	for text, want := range map[string]string{
		`cgi: root: preset "php" needs the directory of its scripts`: `--root: preset "php" needs the directory of its scripts`,
		`cgi: hide "/a\"b: c": can match nothing`:                    `--hide "/a\"b: c": can match nothing`,
		`cgi: env A: the value must not hold NUL or CR`:              `--env A: the value must not hold NUL or CR`,
		`cgi: root or follow "/a": must not hold`:                    `--root or --follow "/a": must not hold`,
		`long_poll: "/a%20": can match nothing`:                      `--long-poll: "/a%20": can match nothing`,
		`auth: realm "\n": want letters`:                             `--auth-realm "\n": want letters`,
		`spawn: no such program`:                                     `no such program`,
		`spawn.max_instances: is 2, and spawn.instances is 3`:        `--command-max-instances: is 2, and --command-instances is 3`,
		`open /etc/x: permission denied`:                             `open /etc/x: permission denied`,
		`admission.unknown: is 5`:                                    `admission.unknown: is 5`,
	} {
		if got := flagError(errors.New(text)).Error(); got != want {
			t.Errorf("%s\ngives %s\nwant  %s", text, got, want)
		}
	}
}
