package demo

import (
	"errors"
	"fmt"
)

// Settings are what clients do, and what is the matter with what they ask.
type Settings struct {
	Polls    int            `json:"polls"`           // clients that hold a long-poll open
	Rate     int            `json:"rate"`            // short requests a second
	Sessions int            `json:"sessions"`        // requests of one session at once, which wait for its lock
	Leak     bool           `json:"leak"`            // each short request leaks memory; not with a Fleet
	Fleet    *FleetSettings `json:"fleet,omitempty"` // nil: the same application twice
}

// FleetSettings are those of two gates and their engine. Each pair is of the first gate and the second.
type FleetSettings struct {
	Balance int     `json:"balance"` // of 100 clients, how many ask the first gate
	Stopped bool    `json:"stopped"` // the engine
	Cut     [2]bool `json:"cut"`     // the gate does not reach the engine
	Ended   [2]bool `json:"ended"`   // the gate does not run, and its clients ask the other one
}

// The most that there may be.
const (
	MaxPolls    = 200
	MaxRate     = 300
	MaxSessions = 50
	MaxBalance  = 100
)

// Check returns what is wrong with settings.
func (s Settings) Check() error {
	switch {
	case s.Polls < 0 || s.Polls > MaxPolls:
		return fmt.Errorf("polls %d: want 0 to %d", s.Polls, MaxPolls)
	case s.Rate < 1 || s.Rate > MaxRate:
		return fmt.Errorf("rate %d: want 1 to %d", s.Rate, MaxRate)
	case s.Sessions < 0 || s.Sessions > MaxSessions:
		return fmt.Errorf("sessions %d: want 0 to %d", s.Sessions, MaxSessions)
	case s.Fleet == nil:
		return nil
	case s.Fleet.Balance < 0 || s.Fleet.Balance > MaxBalance:
		return fmt.Errorf("balance %d: want 0 to %d", s.Fleet.Balance, MaxBalance)
	case s.Leak:
		return errors.New("leak: nobody replaces the application of a fleet: want false")
	}
	return nil
}

// split returns what the clients of each gate do.
func (s Settings) split() [2]Settings {
	balance := s.Fleet.Balance
	switch s.Fleet.Ended {
	case [2]bool{true, true}:
		return [2]Settings{}
	case [2]bool{true, false}:
		balance = 0
	case [2]bool{false, true}:
		balance = MaxBalance
	}
	part := func(n int) int { return (n*balance + MaxBalance/2) / MaxBalance }
	first := Settings{Polls: part(s.Polls), Rate: part(s.Rate), Sessions: part(s.Sessions)}
	return [2]Settings{first, {Polls: s.Polls - first.Polls, Rate: s.Rate - first.Rate, Sessions: s.Sessions - first.Sessions}}
}
