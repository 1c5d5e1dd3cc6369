package caddyplugin

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
)

// Every key of bridge.Config has an option of the same name.
func TestOptionsAreComplete(t *testing.T) {
	var c bridge.Config
	for _, s := range []struct {
		config  any
		options map[string]setter
		others  string // keys that another option sets
	}{
		{c, optionsOf(&c), "backends"},
		{c.Queue, queueOptions(&c.Queue), ""},
		{c.Flow, flowOptions(&c.Flow), "per"},
		{c.Admission, admissionOptions(&c.Admission), ""},
		{c.Timeouts, timeoutOptions(&c.Timeouts), ""},
		{c.Spool, spoolOptions(&c.Spool), ""},
		{bridge.SpawnConfig{}, spawnOptions(new(bridge.SpawnConfig)), "command"},
	} {
		of := reflect.TypeOf(s.config)
		n := 0
		for field := range of.Fields() {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if key == "" || key == "-" || key == s.others {
				continue
			}
			n++
			if s.options[key] == nil {
				t.Errorf("%v: %q has no option", of, key)
			}
		}
		if n != len(s.options) {
			t.Errorf("%v: %d keys, and %d options: %v", of, n, len(s.options), sortedKeys(s.options))
		}
	}
}
