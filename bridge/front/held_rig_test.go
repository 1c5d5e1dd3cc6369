//go:build linux

package front_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/config"
)

const holdKey = "a key of more than sixteen bytes"

// newHoldRig is newRig for an application that may have its clients held.
func newHoldRig(t *testing.T, app http.HandlerFunc, change func(*bridge.Config)) *rig {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(holdKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *bridge.Config) {
		c.Hold = &config.Hold{KeyFile: key}
		if change != nil {
			change(c)
		}
	}, nil)
	r.holds = app
	return r
}

// says answers with the fields in the query, and the body b: "?Grip-Hold=response&b=late".
func says(w http.ResponseWriter, req *http.Request) {
	query := req.URL.Query()
	for name, values := range query {
		if name != "b" {
			w.Header()[http.CanonicalHeaderKey(name)] = values
		}
	}
	w.Header().Set("X-Of", "app")
	_, _ = io.WriteString(w, query.Get("b"))
}

// publish publishes as a publisher would, and returns the status.
func (r *rig) publish(t *testing.T, token string, items ...map[string]any) int {
	t.Helper()
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest("POST", "/publish/", bytes.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	bridge.PublishHandler(func() []*bridge.Application { return []*bridge.Application{r.handler.Application()} }).ServeHTTP(w, req)
	return w.Code
}

// item is one with both formats.
func item(channel, text string, ids ...string) map[string]any {
	i := map[string]any{"channel": channel, "formats": map[string]any{
		"http-response": map[string]any{"code": 200, "headers": map[string]string{"X-Msg": "m", "X-Accel-Redirect": "/etc"}, "body": text},
		"http-stream":   map[string]any{"content": text},
	}}
	if len(ids) > 0 {
		i["id"] = ids[0]
	}
	if len(ids) > 1 {
		i["prev-id"] = ids[1]
	}
	return i
}

func (r *rig) wantHeld(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d clients are held", n), func() error {
		if got := r.handler.Snapshot().Hold.Clients; got != n {
			return fmt.Errorf("%d are", got)
		}
		return nil
	})
}

// asks sends a request, and returns what the answers are read from.
func asks(t *testing.T, addr, target string, fields ...string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := dial(t, addr)
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", target, strings.Join(fields, "")); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func answerOf(t *testing.T, from *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q, %v", body, err)
	}
	return resp, string(body)
}

// onBoth runs a test on both fronts.
func (r *rig) onBoth(t *testing.T, f func(t *testing.T, addr string)) {
	for name, addr := range map[string]string{"loop": r.loop, "net": r.net} {
		t.Run(name, func(t *testing.T) { f(t, addr) })
	}
}

func wantNext(t *testing.T, from io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(from, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, want %q", got[:n], err, want)
	}
}
