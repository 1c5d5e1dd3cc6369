//go:build linux

package integration

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// matrixApp is an application, and the gates of cmd/sluice before it.
type matrixApp struct {
	name string
	backend
	gate, unbuffered matrixGate // unbuffered has --request-buffering off
	side             site       // the gate's status
}

// matrixGate is a gate, and its sockets for web servers.
type matrixGate struct {
	sluice
	sockets map[bool]string
}

// matrixIn is a way in.
type matrixIn struct {
	name       string
	urls       map[*matrixApp]string
	unbuffered map[*matrixApp]string              // bodies are passed on while they arrive
	proto      string                             // of the answers
	inFlight   func(testing.TB, *matrixApp) int64 // requests in the gate
}

// site is an application as a client of its own sees it.
func (in *matrixIn) site(t testing.TB, app *matrixApp, unbuffered bool) site {
	t.Helper()
	url := in.urls[app]
	if unbuffered {
		url = in.unbuffered[app]
	}
	s := newSite(t, url+matrixMount)
	insecure := &tls.Config{InsecureSkipVerify: true} // signed by Caddy itself
	switch in.proto {
	case "HTTP/2.0":
		transport := s.client.Transport.(*http.Transport)
		transport.TLSClientConfig, transport.ForceAttemptHTTP2 = insecure, true
	case "HTTP/3.0":
		quic := &http3.Transport{TLSClientConfig: insecure, DisableCompression: true}
		t.Cleanup(func() { quic.Close() })
		s.client.Transport = quic
	}
	return s
}

func newMatrixIn(name string, inFlight func(testing.TB, *matrixApp) int64) *matrixIn {
	return &matrixIn{name: name, proto: "HTTP/1.1", urls: map[*matrixApp]string{}, unbuffered: map[*matrixApp]string{}, inFlight: inFlight}
}

const (
	matrixWorkers = 16            // more than there are requests at once
	matrixMount   = "/routes.php" // in the web servers' configurations
)

// newMatrix starts each server once.
func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{results: map[[3]string]string{}}
	for _, app := range []*matrixApp{
		{name: "FastCGI", backend: startLibfcgi(t, matrixWorkers)},
		{name: "SCGI", backend: startPerlSCGI(t, matrixWorkers)},
		{name: "uwsgi", backend: startUWSGISocket(t, "--socket", matrixWorkers)},
		{name: "HTTP", backend: startGunicorn(t, "routes", matrixWorkers, "--worker-class", "gthread", "--threads", strconv.Itoa(matrixWorkers), "--env", "SCRIPT_NAME="+matrixMount)},
	} {
		for gate, buffering := range map[*matrixGate]string{&app.gate: "on", &app.unbuffered: "off"} {
			gate.sluice, gate.sockets = webGate(t, app.backend, "--mount", matrixMount, "--max-header", "1MiB", "--max-params", "1MiB", "--request-buffering", buffering)
		}
		app.side = app.gate.side(t)
		m.apps = append(m.apps, app)
	}
	inGate := func(t testing.TB, app *matrixApp) int64 { return readState(t, app.side).InFlight }
	direct := newMatrixIn("HTTP/1.1", inGate)
	for _, app := range m.apps {
		direct.urls[app], direct.unbuffered[app] = app.gate.url, app.unbuffered.url
	}
	m.ins = append(append(m.ins, direct), startMatrixCaddy(t, m.apps)...)
	for _, w := range webServers {
		if w.name == "nginx" || w.name == "lighttpd" || w.name == "Apache" {
			in := newMatrixIn(w.name, inGate)
			for _, app := range m.apps {
				in.urls[app] = w.start(t, app.gate.sockets[false], testdata(t, ""))
				in.unbuffered[app] = w.streaming().start(t, app.unbuffered.sockets[false], testdata(t, ""))
			}
			m.ins = append(m.ins, in)
		}
	}
	return m
}

const matrixCaddyfile = `{
	admin %s
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system %s
	servers {
		max_header_size 1MiB
	}
	log {
		level WARN
	}
}
%s`

const matrixSite = `
%s {
	tls internal
	sluice %s {
		workers %d
		mount %s
		max_params 1MiB
		request_buffering %s
	}
}
`

// startMatrixCaddy runs cmd/caddy with a site for each application.
func startMatrixCaddy(t *testing.T, apps []*matrixApp) []*matrixIn {
	t.Helper()
	dir, admin := t.TempDir(), freeAddress(t)
	binary, file := filepath.Join(dir, "caddy"), filepath.Join(dir, "Caddyfile")
	run(t, exec.Command("go", "build", "-o", binary, "../cmd/caddy"))
	var sites strings.Builder
	urls := map[string]map[*matrixApp]string{"on": {}, "off": {}}
	for buffering, urls := range urls {
		for _, app := range apps {
			urls[app] = "https://" + freeAddress(t)
			fmt.Fprintf(&sites, matrixSite, urls[app], app.addr, app.workers, matrixMount, buffering)
		}
	}
	write(t, file, matrixCaddyfile, admin, filepath.Join(dir, "storage"), &sites)
	cmd := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p := start(t, cmd)
	for _, urls := range urls {
		for _, url := range urls {
			awaitAddress(t, p, "tcp", strings.TrimPrefix(url, "https://"))
		}
	}
	status := newSite(t, "http://"+admin)
	inFlight := func(t testing.TB, app *matrixApp) int64 {
		t.Helper()
		var got struct {
			Applications []struct {
				Backends []string
				Snapshot struct {
					InFlight int64 `json:"in_flight"`
				}
			}
		}
		if err := json.Unmarshal([]byte(status.get(t, "/sluice/status")), &got); err != nil {
			t.Fatal(err)
		}
		for _, a := range got.Applications {
			if len(a.Backends) == 1 && a.Backends[0] == app.addr {
				return a.Snapshot.InFlight
			}
		}
		t.Fatalf("Caddy's Sluice has no %s: %+v", app.addr, got)
		return 0
	}
	return []*matrixIn{
		{name: "h2 in Caddy", proto: "HTTP/2.0", urls: urls["on"], unbuffered: urls["off"], inFlight: inFlight},
		{name: "h3 in Caddy", proto: "HTTP/3.0", urls: urls["on"], unbuffered: urls["off"], inFlight: inFlight},
	}
}
