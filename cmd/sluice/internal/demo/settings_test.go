package demo

import (
	"fmt"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	valid := func(f FleetSettings) Settings { return Settings{Polls: 24, Rate: 40, Sessions: 3, Fleet: &f} }
	for text, change := range map[string]func(*Settings){
		"polls -1: want 0 to 200":      func(s *Settings) { s.Polls = -1 },
		"rate 0: want 1 to 300":        func(s *Settings) { s.Rate = 0 },
		"sessions 51: want 0 to 50":    func(s *Settings) { s.Sessions = 51 },
		"balance 101: want 0 to 100":   func(s *Settings) { s.Fleet.Balance = 101 },
		"balance -1: want 0 to 100":    func(s *Settings) { s.Fleet.Balance = -1 },
		"leak: nobody replaces the ap": func(s *Settings) { s.Leak = true },
	} {
		s := valid(FleetSettings{})
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if change(&s); s.Check() == nil || !strings.HasPrefix(s.Check().Error(), text) {
			t.Errorf("%v, want %s", s.Check(), text)
		}
	}
	for want, f := range map[string]FleetSettings{
		"[{12 20 2} {12 20 1}]": {Balance: 50},
		"[{24 40 3} {0 0 0}]":   {Balance: 100},
		"[{4 6 0} {20 34 3}]":   {Balance: 15},
		"[{0 0 0} {24 40 3}]":   {Balance: 60, Ended: [2]bool{true, false}},
		"[{24 40 3} {0 0 0}] ":  {Balance: 60, Ended: [2]bool{false, true}},
		"[{0 0 0} {0 0 0}]":     {Balance: 60, Ended: [2]bool{true, true}},
	} {
		var parts []string
		for _, p := range valid(f).split() {
			parts = append(parts, fmt.Sprintf("{%d %d %d}", p.Polls, p.Rate, p.Sessions))
		}
		if got := "[" + strings.Join(parts, " ") + "]"; got != strings.TrimSpace(want) {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
}
