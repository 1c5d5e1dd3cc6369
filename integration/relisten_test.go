//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// relistening is a gate whose addresses a test changes.
type relistening struct {
	configured
	front, app, sites string
}

func startRelistening(t *testing.T, front string) *relistening {
	addr, _ := startNamed(t, "a")
	app := fmt.Sprintf("[[application]]\nname = \"a\"\nbackends = [%q]\n", addr)
	return &relistening{startConfigured(t, "front = \""+front+"\"", app+"[[site]]\n"), front, app, "[[site]]\n"}
}

// file writes the file, with what is to be listened at besides the first address.
func (g *relistening) file(t *testing.T, status, others string, settings ...string) {
	t.Helper()
	write(t, g.configured.file, "[server]\nfront = %q\nstatus = %q\nlisten = [\"127.0.0.1:0\"%s]\n%s\n%s%s", g.front, status, others, strings.Join(settings, "\n"), g.app, g.sites)
}

const sameStatus, noAccessLog = "127.0.0.1:0", `access_log = "off"`

// unixSite asks a unix socket.
func unixSite(path string) (body string, err error) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "GET /u HTTP/1.0\r\n\r\n")
	text, err := io.ReadAll(c)
	return string(text), err
}

func eachFront(t *testing.T, f func(t *testing.T, front string)) {
	for _, front := range []string{"loop", "net"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			f(t, front)
		})
	}
}

// A reload listens at what is new in the file, at the former addresses on, and at none of them if one
// cannot be listened at.
func TestReloadListens(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, front string) {
		g := startRelistening(t, front)
		kept, other, path := g.configured.app, freeAddress(t), filepath.Join(socketDir(t), "http.sock")
		kept.get(t, "/")
		g.file(t, sameStatus, fmt.Sprintf(", %q, %q", other, "unix:"+path), noAccessLog)
		g.reloaded(t)
		if got := newSite(t, "http://"+other).get(t, "/new"); got != "a "+other+" /new" {
			t.Errorf("the new address says %q", got)
		}
		if got, err := unixSite(path); err != nil || !strings.Contains(got, "200 OK") {
			t.Errorf("the unix socket says %q, %v", got, err)
		}
		kept.get(t, "/")

		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		third := freeAddress(t)
		g.file(t, sameStatus, fmt.Sprintf(", %q, %q, %q", third, "unix:"+path, taken.Addr()), noAccessLog, `listen_mode = "0600"`, `proxy_protocol = ["127.0.0.1"]`)
		if status, text := g.reload(t); status == http.StatusOK || !strings.Contains(text, "the address is in use") || !strings.Contains(text, taken.Addr().String()) {
			t.Errorf("%d %q", status, text)
		}
		newSite(t, "http://"+other).get(t, "/")
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("the unix socket is %v, %v", info, err)
		}
		if c, err := net.Dial("tcp", third); err == nil {
			c.Close()
			t.Error("it listens at an address of a file that was refused")
		}

		g.file(t, sameStatus, fmt.Sprintf(", %q", "unix:"+path), noAccessLog, `listen_mode = "0600"`)
		g.reloaded(t)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the unix socket is %v, %v", info, err)
		}
		eventually(t, "the address is gone", func() error {
			c, err := net.DialTimeout("tcp", other, time.Second)
			if err == nil {
				c.Close()
				return errNotYet
			}
			return nil
		})
		g.file(t, sameStatus, "", noAccessLog)
		g.reloaded(t)
		eventually(t, "the unix socket is gone", func() error {
			if _, err := os.Stat(path); err == nil {
				return errNotYet
			}
			return nil
		})
		g.signal(t, syscall.SIGTERM)
		g.wantEnd(t, patience)
	})
}

// Clients connect all the time while an address comes and goes: they are refused, or answered.
func TestReloadLosesNoConnection(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, front string) {
		g := startRelistening(t, front)
		other, path := freeAddress(t), filepath.Join(socketDir(t), "http.sock")
		stop := make(chan struct{})
		var clients sync.WaitGroup
		var answered, refused atomic.Int64
		for i := range 6 {
			clients.Go(func() {
				for !closed(stop) {
					network, addr := "tcp", other
					if i%2 == 0 {
						network, addr = "unix", path
					}
					c, err := net.DialTimeout(network, addr, 500*time.Millisecond)
					if err != nil {
						refused.Add(1)
						time.Sleep(time.Millisecond)
						continue
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					fmt.Fprint(c, "GET /x HTTP/1.0\r\n\r\n")
					text, err := io.ReadAll(c)
					if !strings.Contains(string(text), " 200 OK") || err != nil {
						t.Errorf("a client that was connected by %s got %q, %v", network, text, err)
					}
					answered.Add(1)
					c.Close()
				}
			})
		}
		for i := range 12 {
			others := ""
			if i%2 == 0 {
				others = fmt.Sprintf(", %q, %q", other, "unix:"+path)
			}
			g.file(t, sameStatus, others, noAccessLog)
			g.reloaded(t)
			time.Sleep(50 * time.Millisecond)
		}
		close(stop)
		clients.Wait()
		if answered.Load() < 20 || refused.Load() < 20 {
			t.Errorf("%d answered, %d refused", answered.Load(), refused.Load())
		}
	})
}

// A reload changes what is spoken at an address, where the status is, and the access log.
func TestReloadChangesListeners(t *testing.T) {
	t.Parallel()
	eachFront(t, func(t *testing.T, front string) {
		g := startRelistening(t, front)
		dir := t.TempDir()
		ca, certificate := newAuthority(t), filepath.Join(dir, "a.pem")
		ca.issue(t, certificate, 1, "a.test")
		port, access := freeAddress(t), filepath.Join(dir, "access.log")
		plain := fmt.Sprintf(", %q", port)
		g.file(t, sameStatus, plain, noAccessLog)
		g.reloaded(t)
		kept := connect(t, goodFrom, "http://"+port)

		g.file(t, sameStatus, plain, `proxy_protocol = ["127.0.0.0/8"]`, fmt.Sprintf("access_log = %q", access))
		g.reloaded(t)
		c := connect(t, goodFrom, "http://"+port)
		send(c, "PROXY TCP4 192.0.2.77 192.0.2.1 1 2\r\nGET /told HTTP/1.1\r\nHost: x\r\n\r\n")
		wantReply(t, c, http.StatusOK, false)
		send(kept, "GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
		wantReply(t, kept, http.StatusOK, false)
		eventually(t, "the access log has both", func() error {
			text, err := os.ReadFile(access)
			if err == nil && (!strings.Contains(string(text), `"client":"192.0.2.77"`) || !strings.Contains(string(text), "/kept")) {
				err = errors.New(string(text))
			}
			return err
		})

		g.sites = fmt.Sprintf("[[site]]\ntls.certificate = [%q]\n", certificate)
		status := freeAddress(t)
		g.file(t, status, fmt.Sprintf(", \"https://%s\"", port), `access_log_format = "common"`, fmt.Sprintf("access_log = %q", access), `tls.http = "1.1"`, `tls.min_version = "1.3"`)
		g.reloaded(t) // by the former address, which answers
		g.configured.status = newSite(t, "http://"+status)
		s := ca.secureSite(t, port, "a.test", false)
		resp, _ := s.do(t, s.request(t, http.MethodGet, "/secure", nil))
		if resp.ProtoMajor != 1 || resp.TLS.Version != 0x304 {
			t.Errorf("%s over TLS %x", resp.Proto, resp.TLS.Version)
		}
		send(kept, "GET /kept HTTP/1.1\r\nHost: x\r\n\r\n")
		wantReply(t, kept, http.StatusMovedPermanently, false)
		eventually(t, "the access log is in the common format", func() error {
			text, err := os.ReadFile(access)
			if err == nil && !strings.Contains(string(text), `"GET /secure HTTP/1.1" 200`) {
				err = errors.New(string(text))
			}
			return err
		})

		g.sites = "[[site]]\n"
		g.file(t, "off", ", \"fcgi://"+port+"\"", noAccessLog)
		g.reloaded(t)
		g.logs(t, "fastcgi "+port)
		eventually(t, "the status is off", func() error {
			c, err := net.DialTimeout("tcp", status, time.Second)
			if err != nil {
				return nil
			}
			c.Close()
			return errNotYet
		})
		g.signal(t, syscall.SIGTERM)
		g.wantEnd(t, patience)
	})
}
