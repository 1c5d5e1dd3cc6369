package config

import (
	"strings"
	"testing"
)

// How a command gets its socket follows from what it asks for, or from the protocol.
func TestSocketOf(t *testing.T) {
	for name, c := range map[string]struct {
		protocol Protocol
		spawn    Spawn
		want     SocketMode
	}{
		"fastcgi":                {FastCGI, Spawn{Command: []string{"app"}}, SocketStdin},
		"no protocol":            {"", Spawn{Command: []string{"app"}}, SocketStdin},
		"scgi":                   {SCGI, Spawn{Command: []string{"app"}}, SocketStdin},
		"uwsgi":                  {UWSGI, Spawn{Command: []string{"app"}}, SocketStdin},
		"{port}":                 {FastCGI, Spawn{Command: []string{"app", "--port={port}"}}, SocketPort},
		"{socket}":               {UWSGI, Spawn{Command: []string{"app", "{socket}"}}, SocketPath},
		"{address}":              {FastCGI, Spawn{Command: []string{"app", "{address}"}}, SocketPath},
		"{address}, with a port": {FastCGI, Spawn{Command: []string{"app", "{address}"}, Listen: "127.0.0.1:0"}, SocketPort},
		"{socket}, {address}":    {FastCGI, Spawn{Command: []string{"app", "{address}", "{socket}"}}, SocketPath},
		"in a variable":          {FastCGI, Spawn{Command: []string{"app"}, Env: map[string]string{"BIND": "0.0.0.0:{port}"}}, SocketPort},
		"written":                {FastCGI, Spawn{Command: []string{"app"}, Socket: SocketActivation}, SocketActivation},
		"PORT":                   {FastCGI, Spawn{Command: []string{"app"}, Socket: SocketPort, Env: map[string]string{"PORT": "{port}"}}, SocketPort},
		"these are no words":     {FastCGI, Spawn{Command: []string{"app", "{port}", "{socket}"}, Socket: SocketStdin}, SocketStdin},
	} {
		a := Application{Protocol: c.protocol, Spawn: &c.spawn}
		if err := a.Complete(); err != nil || a.Spawn.Socket != c.want {
			t.Errorf("%s: %v, %v, want %v", name, a.Spawn.Socket, err, c.want)
		}
	}
}

// Other protocols than those of FastCGI's time have socket activation, unless the command asks for
// file descriptor 0.
func TestSocketOfServers(t *testing.T) {
	for want, command := range map[SocketMode][]string{
		SocketActivation: {"gunicorn", "app"},
		SocketStdin:      {"gunicorn", "--bind", "fd://0", "app"},
		SocketPath:       {"gunicorn", "--bind", "{address}", "app"},
	} {
		s := Spawn{Command: command}
		if err := s.resolveSocket("http"); err != nil || s.Socket != want {
			t.Errorf("%v: %v, %v", command, s.Socket, err)
		}
	}
}

func TestSocketErrors(t *testing.T) {
	for want, s := range map[string]Spawn{
		"spawn.socket: is port, and the command has {s": {Command: []string{"app", "{socket}", "{port}"}},
		"spawn.socket: is path, and the command has {p": {Command: []string{"app", "{port}"}, Socket: SocketPath},
		"spawn.env: PORT is \"80\"":                     {Command: []string{"app"}, Socket: SocketPort, Env: map[string]string{"PORT": "80"}},
		"spawn.socket: is path, and nothing tells":      {Command: []string{"app"}, Socket: SocketPath},
		"spawn.listen: is \"127.0.0.1:0\", and the":     {Command: []string{"app", "{socket}"}, Listen: "127.0.0.1:0"},
		"spawn.backlog: the command makes its socket":   {Command: []string{"app", "{socket}"}, Backlog: 5},
		"spawn.socket: is \"fd\", want stdin":           {Command: []string{"app"}, Socket: "fd"},
	} {
		a := Application{Spawn: &s}
		if err := a.Complete(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
