package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A process that makes its socket is ready when it listens. Until then the error says how it is
// told where.
func TestListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for want, c := range map[string]struct {
		cfg  Config
		addr string
	}{
		"told that by PORT in its environment; does it":           {Config{Socket: SocketPort}, "127.0.0.1:1"},
		"told that by {port} among its arguments; does it":        {Config{Socket: SocketPort, Command: []string{"sh", "--port={port}"}}, "127.0.0.1:1"},
		"{address} among its arguments and BIND in its environme": {Config{Socket: SocketPath, Command: []string{"sh", "{address}"}, Env: []string{"A=", "BIND={socket}"}}, "unix:" + path},
	} {
		if c.cfg.Command == nil {
			c.cfg.Command = []string{"sh"}
		}
		p, err := c.cfg.plan()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(t.Context(), c.addr); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.addr) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	p, err := Config{Command: []string{"sh"}, Socket: SocketPath}.plan()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := p.Ready(t.Context(), "unix:"+path); err != nil {
		t.Error(err)
	}
}

// Config.Ready is asked nevertheless.
func TestListensAndIsReady(t *testing.T) {
	asked := errors.New("the answer is 503")
	for _, answer := range []error{asked, fmt.Errorf("asking: %w", syscall.ECONNREFUSED), nil} {
		p, err := Config{Command: []string{"sh"}, Socket: SocketPort, Ready: func(context.Context, string) error { return answer }}.plan()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(t.Context(), "127.0.0.1:1"); !errors.Is(err, answer) || strings.Contains(fmt.Sprint(err), "PORT") != (answer != nil && answer != asked) {
			t.Errorf("%v, want %v", err, answer)
		}
	}
}
