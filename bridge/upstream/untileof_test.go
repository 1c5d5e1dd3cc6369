package upstream_test

import (
	"fmt"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/upstream"
)

func TestUntilEOF(t *testing.T) {
	d := new(upstream.UntilEOF)
	d.Begin(7, new(upstream.Request))
	step := func(what string, ev upstream.Event, clean bool, want string) {
		t.Helper()
		if got := fmt.Sprintf("%v %d %q %t %v", ev.Kind, ev.ID, ev.Data, ev.Close, ev.Err); got != want || d.Clean() != clean {
			t.Errorf("%s: %s, clean %t, want %s, %t", what, got, d.Clean(), want, clean)
		}
	}
	next := func(in string) upstream.Event {
		ev, rest, err := d.Next([]byte(in))
		if len(rest) > 0 || err != nil {
			t.Errorf("after %q: rest %q, %v", in, rest, err)
		}
		return ev
	}
	const nothing, end = `nothing 0 "" false <nil>`, `end 7 "" true <nil>`
	step("nothing has come", next(""), true, nothing)
	step("the end without an answer", d.EOF(), true, nothing)
	step("a part", next("Status: 200\r\n"), false, `output 7 "Status: 200\r\n" false <nil>`)
	step("nothing more yet", next(""), false, nothing)
	step("any bytes", next("\x01\x06\x00"), false, `output 7 "\x01\x06\x00" false <nil>`)
	step("the end", d.EOF(), true, end)
	step("the end comes once", d.EOF(), true, nothing)
	next("a")
	d.Begin(8, new(upstream.Request))
	step("the answer to the next request has not begun", d.EOF(), true, nothing)
}
