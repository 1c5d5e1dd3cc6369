package bridge

import (
	"encoding"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Umask is a file mode creation mask whose text form is octal: "027".
type Umask uint16

var (
	_ encoding.TextMarshaler   = Umask(0)
	_ encoding.TextUnmarshaler = (*Umask)(nil)
)

// MarshalText writes m with three digits.
func (m Umask) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%03o", m), nil }

// UnmarshalText reads 0 to 777.
func (m *Umask) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 9)
	if err != nil {
		return fmt.Errorf("%q is not a mask (write 022, 027, 077)", text)
	}
	*m = Umask(n)
	return nil
}

// SpawnBudget is how many processes may end within a time. Its text form is "10 per 10m",
// or "10 per 10m stop". Zero is the default.
type SpawnBudget struct {
	Spawns int
	Per    Duration
	Stop   bool // those that have served count, too
}

var (
	_ encoding.TextMarshaler   = SpawnBudget{}
	_ encoding.TextUnmarshaler = (*SpawnBudget)(nil)
)

// MarshalText writes what UnmarshalText reads, and nothing for the default.
func (b SpawnBudget) MarshalText() ([]byte, error) {
	if b == (SpawnBudget{}) {
		return nil, nil
	}
	text := fmt.Appendf(nil, "%d per %v", b.Spawns, time.Duration(b.Per))
	if b.Stop {
		text = append(text, " stop"...)
	}
	return text, nil
}

// UnmarshalText reads a number that is more than 0, "per", a duration that is, and "stop"
// if need be.
func (b *SpawnBudget) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	stop := len(words) == 4 && words[3] == "stop"
	if len(words) != 3 && !stop || words[1] != "per" {
		return fmt.Errorf("%q is not a budget (write \"10 per 10m\" or \"10 per 10m stop\")", text)
	}
	spawns, err := strconv.Atoi(words[0])
	if err != nil || spawns < 1 {
		return fmt.Errorf("%q is not a number of processes", words[0])
	}
	var per Duration
	if err := per.UnmarshalText([]byte(words[2])); err != nil {
		return err
	}
	if per <= 0 {
		return errors.New("the budget's time must be more than 0")
	}
	*b = SpawnBudget{spawns, per, stop}
	return nil
}

// Signal is a signal whose text form is its name: "QUIT" or "SIGQUIT". Zero is none. It
// is one that a program may have its stacks printed by.
type Signal syscall.Signal

var (
	_ encoding.TextMarshaler   = Signal(0)
	_ encoding.TextUnmarshaler = (*Signal)(nil)
)

var signals = [...]struct {
	name   string
	signal syscall.Signal
}{
	{"ABRT", syscall.SIGABRT},
	{"HUP", syscall.SIGHUP},
	{"QUIT", syscall.SIGQUIT},
	{"TRAP", syscall.SIGTRAP},
	{"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2},
}

// MarshalText writes the name, without SIG.
func (s Signal) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	for _, known := range signals {
		if known.signal == s.number() {
			return []byte(known.name), nil
		}
	}
	return nil, fmt.Errorf("signal %d has no name here", int(s))
}

// UnmarshalText reads ABRT, HUP, QUIT, TRAP, USR1 or USR2, with or without SIG.
func (s *Signal) UnmarshalText(text []byte) error {
	name := strings.TrimPrefix(strings.ToUpper(string(text)), "SIG")
	for _, known := range signals {
		if known.name == name {
			*s = Signal(known.signal)
			return nil
		}
	}
	return fmt.Errorf("%q is not a signal for that (write QUIT, USR1, USR2, ABRT, HUP or TRAP)", text)
}

func (s Signal) number() syscall.Signal { return syscall.Signal(s) }
