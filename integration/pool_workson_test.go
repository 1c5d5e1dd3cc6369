//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// A page that starts work after its answer does not take the next request with it, on any
// kind of socket, nor behind a proxy for TCP, which reads what PHP does not; nor is it a
// deadlock if that work asks the site itself.
func TestPHPWorksOn(t *testing.T) {
	for _, way := range []string{"unix socket", "TCP", "proxy"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			const children, quick = 4, time.Second
			root := t.TempDir()
			write(t, filepath.Join(root, "page.php"), "<?php usleep(($_GET['ms'] ?? 0) * 1000); echo 'page';")
			write(t, filepath.Join(root, "works.php"), "<?php echo 'answered'; fastcgi_finish_request(); sleep(4);")
			be := startFPM(t, fpmOptions{root: root, workers: children, tcp: way != "unix socket"})
			if way == "proxy" {
				be.addr = relay(t, be.addr)
			}
			url, b := serveBridge(t, be.plainConfig())
			write(t, filepath.Join(root, "asks.php"), `<?php echo 'answered'; fastcgi_finish_request();
$begun = microtime(true);
$got = file_get_contents('%s/page.php', false, stream_context_create(['http' => ['method' => 'POST', 'content' => 'x', 'timeout' => 20]]));
file_put_contents('%s/told', sprintf('%%s after %%.1f s', $got, microtime(true) - $begun));`, url, root)
			s := newSite(t, url)
			warm := func() {
				var all sync.WaitGroup
				for range children {
					all.Go(func() { s.get(t, "/page.php?ms=200") })
				}
				all.Wait()
			}
			get := func(path, want string) {
				t.Helper()
				begun := time.Now()
				if got := s.get(t, path); got != want {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
				if d := time.Since(begun); d > quick {
					t.Errorf("%s took %v", path, d)
				}
			}
			warm()
			get("/works.php", "answered")
			for range 2 * children {
				get("/page.php", "page")
			}
			if resp, body := s.do(t, s.request(t, http.MethodPost, "/page.php", nil)); resp.StatusCode != http.StatusOK || body != "page" {
				t.Errorf("POST: %d, %q", resp.StatusCode, body)
			}
			// On a busy machine others may be late, too, and be looked at for a moment.
			awaitState(t, b, "one process works on", func(s bridge.Snapshot) bool { return s.Pool.Instances[0].AtWork == 1 })
			seen := b.Snapshot()
			t.Logf("%+v", seen.Pool.Instances[0])
			if seen.Pool.Instances[0].WorkedOn == 0 || seen.Gate.Capacity > children {
				t.Errorf("%+v", seen)
			}
			awaitState(t, b, "it is back", func(s bridge.Snapshot) bool { return s.Pool.Instances[0].AtWork == 0 })
			warm()
			get("/asks.php", "answered")
			var told []byte
			eventually(t, "the page has asked its own site", func() (err error) {
				told, err = os.ReadFile(filepath.Join(root, "told"))
				if err == nil && len(told) == 0 {
					return errNotYet
				}
				return err
			})
			if !strings.HasPrefix(string(told), "page after 0.") {
				t.Errorf("its own site has told it %q", told)
			}
		})
	}
}

// All children work on: who comes waits for the first that is back, and is not lost.
func TestAllPHPWorksOn(t *testing.T) {
	checkLeaks(t)
	const children = 2
	root := t.TempDir()
	write(t, filepath.Join(root, "page.php"), "<?php echo 'page';")
	write(t, filepath.Join(root, "works.php"), "<?php echo 'answered'; fastcgi_finish_request(); sleep(1);")
	url, b := serveBridge(t, startFPM(t, fpmOptions{root: root, workers: children}).plainConfig())
	l := newLoad(t, url)
	var all sync.WaitGroup
	for range 3 * children {
		all.Go(func() {
			if got := l.get(t, "/works.php"); got != "answered" {
				t.Errorf("got %q", got)
			}
			if got := l.get(t, "/page.php"); got != "page" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	in := b.Snapshot().Pool.Instances[0]
	t.Logf("%+v", in)
	if in.Discarded+in.DialErrors > 0 || in.Dialing+in.Busy+in.Idle+in.AtWork+in.Closing > children {
		t.Errorf("%+v", in)
	}
}

// relay is the address of a proxy for TCP connections to addr, as containers have it.
func relay(t testing.TB, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			all.Go(func() { pass(near, far) })
			all.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// pass hands on what comes from one connection to the other, and ends both with it.
func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from) // whoever ends it, it has ended
	from.Close()
	to.Close()
}

// So may processes that are not PHP's: the first request that meets one is seen not to be
// read, and goes elsewhere. Connections are not kept after that.
func TestPerlWorksOn(t *testing.T) {
	checkLeaks(t)
	const quick = time.Second
	url, b := serveBridge(t, startPerl(t, 4).plainConfig())
	s := newSite(t, url)
	eventually(t, "connections are kept", func() error {
		s.get(t, "/hello")
		if in := b.Snapshot().Pool.Instances[0]; in.KeepAlive != "on" {
			return fmt.Errorf("%+v", in)
		}
		return nil
	})
	s.get(t, "/works?s=3")
	begun := time.Now()
	for range 8 {
		if got := s.get(t, "/hello"); got != "hello\n" {
			t.Errorf("got %q", got)
		}
	}
	if d := time.Since(begun); d > quick {
		t.Errorf("the next requests took %v", d)
	}
	in := b.Snapshot().Pool.Instances[0]
	t.Logf("%+v", in)
	if in.KeepAlive != "off" || in.Replays["ignored"] != 1 {
		t.Errorf("%+v", in)
	}
	// And now even the process that works on is no trouble.
	s.get(t, "/works?s=1")
	begun = time.Now()
	for range 8 {
		if got := s.post(t, "/echo", []byte("posted")); got != "posted" {
			t.Errorf("got %q", got)
		}
	}
	if d := time.Since(begun); d > quick {
		t.Errorf("the next requests took %v", d)
	}
}
