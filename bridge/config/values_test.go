package config

import (
	"encoding"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantText checks the value of a text, and the text of that value.
func wantText[T comparable, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, text string, want T, again string,
) {
	t.Helper()
	var got T
	if err := P(&got).UnmarshalText([]byte(text)); err != nil || got != want {
		t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		return
	}
	back, err := any(got).(encoding.TextMarshaler).MarshalText()
	if err != nil || string(back) != again {
		t.Errorf("%q is written as %q, %v, want %q", text, back, err, again)
	}
}

func wantNoText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, text, want string,
) {
	t.Helper()
	var v T
	if err := P(&v).UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%q is %v, %v, want an error with %q", text, v, err, want)
	}
}

func TestUmaskText(t *testing.T) {
	wantText(t, "027", Umask(0o27), "027")
	wantText(t, "0", Umask(0), "000")
	wantText(t, "0777", Umask(0o777), "777")
	for _, text := range []string{"", "28", "1000", "-1", "u=rwx"} {
		wantNoText[Umask](t, text, "is not a mask")
	}
}

func TestBudgetText(t *testing.T) {
	wantText(t, "10 per 10m", Budget{Spawns: 10, Per: Duration(10 * time.Minute)}, "10 per 10m0s")
	wantText(t, " 1  per 1h stop", Budget{1, Duration(time.Hour), true}, "1 per 1h0m0s stop")
	for text, want := range map[string]string{
		"": "not a budget", "10": "not a budget", "10 in 10m": "not a budget", "10 per 10m go": "not a budget", "10 per 10m stop now": "not a budget",
		"ten per 10m": "not a number", "0 per 10m": "not a number", "-1 per 10m": "not a number",
		"10 per minute": "not a duration", "10 per 0s": "more than 0", "10 per -1s": "more than 0",
	} {
		wantNoText[Budget](t, text, want)
	}
	if text, err := (Budget{}).MarshalText(); err != nil || len(text) > 0 {
		t.Errorf("the default is %q, %v", text, err)
	}
}

func TestSignalText(t *testing.T) {
	wantText(t, "QUIT", Signal(syscall.SIGQUIT), "QUIT")
	wantText(t, "SIGUSR1", Signal(syscall.SIGUSR1), "USR1")
	wantText(t, "usr2", Signal(syscall.SIGUSR2), "USR2")
	for _, text := range []string{"", "SIG", "3", "KILL", "STOP", "TERM"} {
		wantNoText[Signal](t, text, "is not a signal for that")
	}
	if text, err := Signal(0).MarshalText(); err != nil || len(text) > 0 {
		t.Errorf("none is %q, %v", text, err)
	}
	if text, err := Signal(syscall.SIGKILL).MarshalText(); err == nil {
		t.Errorf("KILL is %q", text)
	}
}
