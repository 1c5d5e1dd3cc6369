package admission

import "time"

// Clock is a source of time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once after d has passed, in any goroutine.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call; see time.Timer.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
