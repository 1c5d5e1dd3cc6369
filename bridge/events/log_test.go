package events

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Log
		l.Add(Event{Kind: Start, Text: "started", Instance: "a", PID: 1})
		for i := range 5 {
			time.Sleep(time.Second)
			l.Add(Event{Kind: Crash, Text: "ended", Instance: "a", PID: i, Lines: []string{fmt.Sprint("line ", i)}})
			l.Add(Event{Kind: Start, Text: "started", Instance: "a", PID: i + 1})
			l.Add(Event{Kind: Start, Text: "started", Instance: "b"})
		}
		all := l.All()
		if len(all) != 3 {
			t.Fatalf("%d events: %+v", len(all), all)
		}
		for i, want := range []Event{{Kind: Start, Instance: "b", Count: 5}, {Kind: Start, Instance: "a", Count: 6, PID: 5}, {Kind: Crash, Instance: "a", Count: 5, PID: 4}} {
			if got := all[i]; got.Kind != want.Kind || got.Instance != want.Instance || got.Count != want.Count || got.PID != want.PID {
				t.Errorf("%d: %+v, want %+v", i, got, want)
			}
		}
		if got := all[2]; !slices.Equal(got.Lines, []string{"line 4"}) || got.Time.Sub(got.First) != 4*time.Second {
			t.Errorf("%+v: want the last lines, and the first time", got)
		}

		time.Sleep(again) // it is another event then
		l.Add(Event{Kind: Crash, Text: "ended", Instance: "a"})
		if all := l.All(); len(all) != 4 || all[0].Count != 1 {
			t.Errorf("%+v", all)
		}
		time.Sleep(Kept - again/2)
		if all := l.All(); len(all) != 1 {
			t.Errorf("after %v: %+v", Kept, all)
		}
		for i := range 2 * Most {
			l.Add(Event{Kind: Reload, Text: fmt.Sprint(i), Lines: make([]string, 1000)})
		}
		if all := l.All(); len(all) != Most || all[0].Text != fmt.Sprint(2*Most-1) || len(all[0].Lines) != maxLines {
			t.Errorf("%d events, the last is %q with %d lines", len(all), all[0].Text, len(all[0].Lines))
		}
	})
}
