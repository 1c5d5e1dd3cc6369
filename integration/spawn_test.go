//go:build linux

package integration

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// spawned are applications that take their socket on fd 0, as sluice hands it
// to them.
var spawned = map[string]func(testing.TB) (app *exec.Cmd, be backend){
	"php-cgi": func(t testing.TB) (*exec.Cmd, backend) {
		return phpCGI(t, 2), backend{workers: 2, preset: "php", root: testdata(t, ""), prefix: "/routes.php"}
	},
	"libfcgi": func(t testing.TB) (*exec.Cmd, backend) {
		return libfcgi(t, 2), backend{workers: 2}
	},
	"perl": func(t testing.TB) (*exec.Cmd, backend) {
		app := exec.Command(needPerl(t, "FCGI"), testdata(t, "routes.pl"))
		app.Env = append(app.Environ(), "WORKERS=2")
		return app, backend{workers: 2}
	},
	"scgi": func(t testing.TB) (*exec.Cmd, backend) {
		return scgi(t, 2), backend{workers: 2, protocol: config.SCGI}
	},
	"uwsgi": func(t testing.TB) (*exec.Cmd, backend) { // it finds the socket on fd 0 by itself
		return uwsgi(t, "routes.py", 2), backend{workers: 2, protocol: config.UWSGI}
	},
}

// An application that is killed comes back, and what it was doing is an error
// for its client, not silence.
func TestSpawnedApplicationIsKilled(t *testing.T) {
	t.Parallel()
	for name, command := range spawned {
		t.Run(name, func(t *testing.T) {
			app, be := command(t)
			gate := startSluiceCommand(t, app, be.args()...)
			s := newSite(t, gate.url+be.prefix)
			s.untilServed(t)

			for range 2 {
				g := newGate(t)
				waiting := s.background(t, t.Context(), "/wait?gate="+g.dir)
				g.entered(t, 1)
				first := gate.child(t)
				// The whole group: a master that dies alone leaves workers that serve on.
				if err := syscall.Kill(-first, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the application is gone", func() error { return wantGroupGone(t, first) })
				// The request may have been sent again, to the new application.
				g.open(t)
				o := within(t, "the request under way", waiting)
				if o.err == nil && o.status != http.StatusBadGateway && o.body != "waited\n" {
					t.Errorf("the request under way got %d, %q", o.status, o.body)
				}
				s.untilServed(t)
				if second := gate.child(t); second == first {
					t.Errorf("child %d was not replaced", first)
				}
			}
			wantNothingLeft(t, gate, s)
		})
	}
}

// A master that is killed alone leaves orphans on the socket; they must not
// outlive the gate, nor serve beside the new master.
func TestSpawnedMasterIsKilled(t *testing.T) {
	app, be := spawned["php-cgi"](t)
	gate := startSluiceCommand(t, app, be.args()...)
	s := newSite(t, gate.url+be.prefix)
	s.untilServed(t)
	master := gate.child(t)
	var workers []int
	eventually(t, "php-cgi has two children", func() error {
		if workers = children(t, master); len(workers) != 2 {
			return fmt.Errorf("it has %v", workers)
		}
		return nil
	})
	if err := syscall.Kill(master, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, pid := range workers {
		eventually(t, fmt.Sprintf("orphan %d ends", pid), func() error { return wantGone(pid) })
	}
	s.untilServed(t)
	wantNothingLeft(t, gate, s)
}

// SIGTERM: no new connections, the request under way is answered, then the
// application ends, and sluice with status 0.
func TestDrain(t *testing.T) {
	for name, command := range spawned {
		t.Run(name, func(t *testing.T) {
			app, be := command(t)
			gate := startSluiceCommand(t, app, be.args()...)
			drained(t, gate, newSite(t, gate.url+be.prefix))
		})
	}
}

// drained sends SIGTERM while a request is under way.
func drained(t *testing.T, gate sluice, s site) {
	t.Helper()
	s.untilServed(t)
	g := newGate(t)
	waiting := s.background(t, t.Context(), "/wait?gate="+g.dir)
	g.entered(t, 1)
	group := gate.child(t)
	gate.signal(t, syscall.SIGTERM)
	eventually(t, "sluice refuses new connections", func() error {
		c, err := net.Dial("tcp", strings.TrimPrefix(gate.url, "http://"))
		if err != nil {
			return nil
		}
		c.Close()
		return errNotYet
	})
	g.pass(t)
	within(t, "the request under way", waiting).want(t, "waited\n")
	if err := gate.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	eventually(t, "the application has ended", func() error { return wantGroupGone(t, group) })
}

// untilServed asks until the application answers.
func (s site) untilServed(t testing.TB) {
	t.Helper()
	eventually(t, "the application serves", func() error {
		resp, body, err := s.try(s.request(t, http.MethodGet, "/hello", nil))
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || body != "hello\n" {
			return fmt.Errorf("%s: %q", resp.Status, head(body))
		}
		return nil
	})
}

// wantNothingLeft ends the gate and checks that its application ends with it.
func wantNothingLeft(t testing.TB, gate sluice, s site) {
	t.Helper()
	s.client.CloseIdleConnections()
	group := gate.child(t)
	gate.signal(t, syscall.SIGTERM)
	if err := gate.wait(t); err != nil {
		t.Errorf("sluice ended with %v", err)
	}
	eventually(t, "the application has ended", func() error { return wantGroupGone(t, group) })
}
