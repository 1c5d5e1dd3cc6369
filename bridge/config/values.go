package config

import (
	"encoding"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Switch is "on", "off" or, where the setting says so, "auto"; empty is its default.
type Switch string

// The values of a Switch.
const (
	On   Switch = "on"
	Off  Switch = "off"
	Auto Switch = "auto"
)

// Preset is how URLs map to the application.
type Preset string

// The values of a Preset.
const (
	PresetApp Preset = "app" // one application
	PresetPHP Preset = "php" // scripts below the root
	PresetCGI Preset = "cgi" // a program for each file below the root
)

// StaticFiles says which files below the root are sent as they are.
type StaticFiles string

// The values of StaticFiles.
const (
	StaticUsual StaticFiles = "usual" // of the types that sites usually consist of
	StaticAll   StaticFiles = "all"   // all that are no scripts
	StaticOff   StaticFiles = "off"
)

// StaticMissing says what answers where no static file is.
type StaticMissing string

// The values of StaticMissing.
const (
	MissingPass StaticMissing = "pass" // the application
	Missing404  StaticMissing = "404"
)

// CompressionScope says which answers are compressed.
type CompressionScope string

// The values of a CompressionScope.
const (
	CompressOff    CompressionScope = "off"
	CompressStatic CompressionScope = "static" // static files
	CompressPublic CompressionScope = "public" // and what everybody gets
	CompressAll    CompressionScope = "all"
)

// CompressionLevel is how much work is put into compressing.
type CompressionLevel string

// The values of a CompressionLevel.
const (
	LevelFast  CompressionLevel = "fast"
	LevelUsual CompressionLevel = "usual"
	LevelBest  CompressionLevel = "best"
)

// Excess is a value of Client.Excess.
type Excess string

// The values of an Excess.
const (
	Refuse Excess = "refuse"
	Evict  Excess = "evict"
)

// Duration is a time.Duration whose text form is "1.5s", "2m", "1d12h".
type Duration time.Duration

var (
	_ encoding.TextMarshaler   = Duration(0)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
)

// MarshalText writes d as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// days matches the part of a duration that time.ParseDuration does not know.
var days = regexp.MustCompile(`^(-?)(\d{1,5})d`)

// UnmarshalText reads what time.ParseDuration reads, and days before it.
func (d *Duration) UnmarshalText(text []byte) error {
	rest, whole := string(text), time.Duration(0)
	if m := days.FindStringSubmatch(rest); m != nil {
		n, _ := strconv.Atoi(m[2]) // five digits
		whole, rest = time.Duration(n)*24*time.Hour, m[1]+rest[len(m[0]):]
		if m[1] == "-" {
			whole = -whole
		}
		if rest == m[1] {
			*d = Duration(whole)
			return nil
		}
	}
	v, err := time.ParseDuration(rest)
	if err != nil {
		return fmt.Errorf("%q is not a duration (write 500ms, 3s, 2m)", text)
	}
	*d = Duration(whole + v)
	return nil
}

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

// FileMode is the permissions of a file, whose text form is octal: "0660". Zero is the default.
type FileMode uint16

var (
	_ encoding.TextMarshaler   = FileMode(0)
	_ encoding.TextUnmarshaler = (*FileMode)(nil)
)

// MarshalText writes m with four digits.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint16(m)), nil }

// UnmarshalText reads 0 to 0777.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 9)
	if err != nil {
		return fmt.Errorf("%q is not a mode (write 0660, 0666)", text)
	}
	*m = FileMode(n)
	return nil
}

// Budget is how many processes may end within a time. Its text form is "10 per 10m",
// or "10 per 10m stop". Zero is the default.
type Budget struct {
	Spawns int
	Per    Duration
	Stop   bool // count processes that have served, too
}

var (
	_ encoding.TextMarshaler   = Budget{}
	_ encoding.TextUnmarshaler = (*Budget)(nil)
)

// MarshalText writes what UnmarshalText reads, and nothing for the default.
func (b Budget) MarshalText() ([]byte, error) {
	if b == (Budget{}) {
		return nil, nil
	}
	text := fmt.Appendf(nil, "%d per %v", b.Spawns, time.Duration(b.Per))
	if b.Stop {
		text = append(text, " stop"...)
	}
	return text, nil
}

// UnmarshalText reads a number above 0, "per", a duration above 0 and, optionally, "stop".
func (b *Budget) UnmarshalText(text []byte) error {
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
	*b = Budget{spawns, per, stop}
	return nil
}

// Signal is a signal that may make a program write its stacks. Its text form is its name: "QUIT" or
// "SIGQUIT". Zero is none.
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
		if Signal(known.signal) == s {
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
