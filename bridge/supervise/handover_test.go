package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An error of connecting says how the command was told where to listen.
func TestNotListening(t *testing.T) {
	for want, cfg := range map[string]Config{
		"told that by PORT in its environment; does it":           {Socket: SocketPort},
		"told that by {port} among its arguments; does it":        {Socket: SocketPort, Command: []string{"sh", "--port={port}"}},
		"{address} among its arguments and BIND in its environme": {Socket: SocketPath, Command: []string{"sh", "{address}"}, Env: []string{"A=", "BIND={socket}"}},
	} {
		for _, cause := range []error{syscall.ECONNREFUSED, fs.ErrNotExist} {
			p := &plan{Config: cfg}
			if err := p.explain("unix:/s", fmt.Errorf("dial: %w", cause)); !errors.Is(err, cause) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at unix:/s: ") {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
	other := errors.New("the answer is 503")
	for _, err := range []error{(&plan{Config: Config{Socket: SocketPort}}).explain("", other), (&plan{Config: Config{Socket: SocketStdin}}).explain("", syscall.ECONNREFUSED)} {
		if err != other && err != syscall.ECONNREFUSED {
			t.Errorf("%v is explained", err)
		}
	}
}

// A child that makes its socket gets requests when it accepts connections, and none when it has
// exited, until the next child accepts connections.
func TestReadyWhenItAccepts(t *testing.T) {
	life := inTurn(behaviour{ready: 7 * time.Second, serves: 8 * time.Second, lives: 20 * time.Second}, behaviour{ready: 3 * time.Second})
	superviseAs(t, Config{Socket: SocketPort}, 6*time.Second, life, func(s *script, _ string) {
		s.wantCalls(t, "")
		time.Sleep(2 * time.Second)
		s.wantCalls(t, "add app-0")
		time.Sleep(14 * time.Second)
		s.wantStarts(t, 2)
		s.wantCalls(t, "add app-0, drain app-0")
		time.Sleep(3 * time.Second)
		s.wantCalls(t, "add app-0, drain app-0, resume app-0")
	})
}

// One that listens and accepts nothing, or that does not listen, is ended in time, and the log says
// which of the two it was.
func TestNeverReady(t *testing.T) {
	superviseAs(t, Config{Socket: SocketPath, StartTimeout: 20 * time.Second}, 21*time.Second, inTurn(behaviour{ready: time.Hour}), func(s *script, log string) {
		if !strings.Contains(log, "it listens, and does not accept a connection in 5s") {
			t.Error(log)
		}
	})
	refuse := func(context.Context, string) error { return syscall.ECONNREFUSED }
	superviseAs(t, Config{Socket: SocketPort, StartTimeout: 20 * time.Second, Ready: refuse}, 21*time.Second, inTurn(behaviour{}), func(s *script, log string) {
		if !strings.Contains(log, "does not listen at app-0: it is told that by PORT in its environment") {
			t.Error(log)
		}
	})
}

// A program that does not set SO_REUSEADDR cannot listen at a port that is held for it.
func TestHintOfHeldPort(t *testing.T) {
	e := Exit{Status: 1, Lines: []string{"OSError: [Errno 98] Address already in use", "exiting"}}
	for mode, want := range map[SocketMode]bool{SocketPort: true, SocketStdin: false} {
		if got := e.hint(mode); strings.Contains(got, "SO_REUSEADDR") != want {
			t.Errorf("%s: %q", mode, got)
		}
	}
}
