package app

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// The log names the client that most refused requests are from, if there is one.
func TestRefusalsNameWhoSendsMost(t *testing.T) {
	for name, c := range map[string]struct {
		note func(add func(client string))
		want string // part of the line
		not  string
	}{
		"a flood among others": {func(add func(string)) {
			for i := range 1000 {
				add(fmt.Sprint("192.0.2.", i%200))
				for range 3 {
					add("198.51.100.7")
				}
			}
		}, "most_from=198.51.100.7", ""},
		"many": {func(add func(string)) {
			for i := range 1000 {
				add(fmt.Sprint("192.0.2.", i%200))
			}
		}, "count=1000", "most_from"},
		"few": {func(add func(string)) {
			for range 19 {
				add("198.51.100.7")
			}
		}, "count=19", "most_from"},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			l := newRefusals(slog.New(slog.NewTextHandler(&text, nil)))
			r := newRefused()
			c.note(func(client string) { r.add("full", client) })
			if len(r.clients) > manyClients {
				t.Errorf("%d clients are remembered", len(r.clients))
			}
			l.tell(r)
			if line := text.String(); !strings.Contains(line, c.want) || c.not != "" && strings.Contains(line, c.not) {
				t.Errorf("the log says %q, want %q and not %q", line, c.want, c.not)
			}
		})
	}
}
