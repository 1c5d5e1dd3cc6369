//go:build linux

package caddy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/sluice-proxy/sluice/caddyplugin"
	"github.com/sluice-proxy/sluice/integration/internal/freeport"
)

// patience bounds every wait: for a broken machine, never a measure.
const patience = 30 * time.Second

// storage is Caddy's for certificates and the like.
var storage string

func TestMain(m *testing.M) {
	var err error
	if storage, err = os.MkdirTemp("", "it"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(storage) // Caddy may still be at work there
	os.Exit(code)
}

// site is a running Caddy.
type site struct {
	t       *testing.T
	url     string // of the site, plain HTTP
	admin   string // URL of the admin API
	log     string // file with Caddy's log
	client  *http.Client
	options []string // global ones of every configuration

	directives string // of the configuration that was loaded last
}

// start runs Caddy with a site that has directives, until the test ends. options are
// global ones.
func start(t *testing.T, directives string, options ...string) *site {
	t.Helper()
	s := &site{
		t: t, log: filepath.Join(t.TempDir(), "log"), client: &http.Client{Timeout: patience},
		url: "http://" + freeAddress(t), admin: "http://" + freeAddress(t),
	}
	s.client.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(s.log); err == nil && t.Failed() {
			t.Logf("Caddy's log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	s.load(directives, options...)
	return s
}

// startUnix is start for a site behind a unix socket.
func startUnix(t *testing.T, directives string) *site {
	t.Helper()
	path := filepath.Join(socketDir(t), "http.sock")
	s := start(t, directives, "default_bind unix/"+path)
	s.options = []string{"default_bind unix/" + path}
	s.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return s
}

// load gives the running Caddy another configuration.
func (s *site) load(directives string, options ...string) {
	s.t.Helper()
	if err := s.tryLoad(directives, options...); err != nil {
		s.t.Fatal(err)
	}
	s.directives = directives
}

func (s *site) tryLoad(directives string, options ...string) error {
	return s.tryText(s.global(options...) + s.url + " {\n" + directives + "\n}\n")
}

// global is the block of global options.
func (s *site) global(options ...string) string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	log {
		output file %s
		level DEBUG
	}
	%s
}
`, strings.TrimPrefix(s.admin, "http://"), storage, s.log, strings.Join(append(options, s.options...), "\n"))
}

func (s *site) tryText(caddyfile string) error {
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(raw, true)
}

// reply is a response, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (s *site) do(r *http.Request) reply {
	res, err := s.client.Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(text), err}
}

func (s *site) get(path string) reply { return s.ask("GET", path, "") }

// ask makes a request with header fields, given in pairs. It is repeated when the
// connection is closed without a word: a server that shuts down, as in a reload, does that
// to requests that have just come. A Caddy that only says "respond" loses one in a
// thousand so (net/http's Server.Shutdown), and every client repeats what it may.
func (s *site) ask(method, path, body string, header ...string) (re reply) {
	s.t.Helper()
	for range 5 {
		r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		re = s.do(r)
		if !errors.Is(re.err, io.EOF) && !errors.Is(re.err, syscall.ECONNRESET) {
			break
		}
	}
	return re
}

// want checks a reply's status and body.
func (s *site) want(re reply, status int, body string) {
	s.t.Helper()
	if re.err != nil || re.status != status || re.body != body {
		s.t.Errorf("reply %d %q, %v; want %d %q", re.status, re.body, re.err, status, body)
	}
}

// state asks the admin API for the snapshots of all applications.
func (s *site) state() []applicationState {
	s.t.Helper()
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience} // the server may be a new one
	res, err := fresh.Get(s.admin + "/sluice/status")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Applications []applicationState `json:"applications"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != 200 {
		s.t.Fatalf("%d %v", res.StatusCode, err)
	}
	return got.Applications
}

type applicationState struct {
	Backends []string `json:"backends"`
	Sites    []struct {
		Mount string `json:"mount"`
		Root  string `json:"root"`
	} `json:"sites"`
	Snapshot struct {
		InFlight int64 `json:"in_flight"`
		Gate     struct {
			Workers int               `json:"workers"`
			InUse   int               `json:"in_use"`
			Waiting int               `json:"waiting"`
			Routes  []json.RawMessage `json:"routes"`
		} `json:"gate"`
		Hold struct {
			Clients int `json:"clients"`
		} `json:"hold"`
		Pool struct {
			Instances []struct {
				Addr        string `json:"addr"`
				State       string `json:"state"`
				Workers     int    `json:"workers"`
				Dials       uint64 `json:"dials"`
				Idle        int    `json:"idle"`
				KeepAlive   string `json:"keep_alive"`
				BacklogFull uint64 `json:"backlog_full"`
			} `json:"instances"`
		} `json:"pool"`
	} `json:"snapshot"`
}

// logged returns the lines of Caddy's log that hold all of the words.
func (s *site) logged(words ...string) []string {
	s.t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
line:
	for line := range bytes.Lines(text) {
		for _, w := range words {
			if !bytes.Contains(line, []byte(w)) {
				continue line
			}
		}
		found = append(found, string(line))
	}
	return found
}

// freeAddress is one of this machine's whose port nobody has, until the test ends.
func freeAddress(t *testing.T) string {
	t.Helper()
	addr, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}

// app is a FastCGI application of net/http/fcgi on a unix socket.
type app struct {
	addr     string
	accepted atomic.Int64
}

// startApp serves h until the test ends.
func startApp(t *testing.T, h http.HandlerFunc) *app {
	t.Helper()
	return startAppAt(t, filepath.Join(socketDir(t), "app.sock"), h)
}

func startAppAt(t *testing.T, path string, h http.HandlerFunc) *app {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{addr: "unix/" + path}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fcgi.Serve(countingListener{l, &a.accepted}, h) // ends when the listener is closed
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return a
}

type countingListener struct {
	net.Listener
	accepted *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return c, err
}

// socketDir is a private directory for sockets. t.TempDir's name may be longer than a
// socket's can be.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "it")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// echo answers with what it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
}

// newRequest is a GET that can be given up.
func newRequest(t *testing.T, url string) (*http.Request, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, stop
}
