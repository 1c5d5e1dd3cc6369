//go:build linux

package caddy

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The page is served by the directive, in a path of its own or below a stripped one, and by the admin
// API. A reload ends its streams, and does not wait for them.
func TestStatusPage(t *testing.T) {
	app := startApp(t, echo)
	directives := `handle_path /stripped/* {
		sluice_status
	}
	handle /status* {
		sluice_status
	}
	sluice ` + app.addr + ` {
		workers 4
	}`
	s := start(t, directives)
	if re := s.get("/page"); re.status != 200 {
		t.Fatalf("%d %v", re.status, re.err)
	}
	for _, base := range []string{s.url + "/stripped/", s.url + "/status/", s.admin + "/sluice/"} {
		for path, want := range map[string]string{"": "<title>Sluice</title>", "static/page.js": "EventSource", "view.json": `"workers":{"all":4`} {
			res, err := s.client.Get(base + path)
			if err != nil {
				t.Fatal(err)
			}
			text := readAll(t, res)
			if res.StatusCode != 200 || !strings.Contains(text, want) {
				t.Errorf("%s%s: %d %.200q, want %q", base, path, res.StatusCode, text, want)
			}
			if path == "view.json" && !json.Valid([]byte(text)) {
				t.Errorf("%s: %s", base, text)
			}
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"view.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if readAll(t, res); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s by another site: %d", base, res.StatusCode)
		}
	}
	noRedirects := &http.Client{Transport: s.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := noRedirects.Get(s.url + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if readAll(t, res); res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != "./status/" {
		t.Errorf("/status: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}

	streaming, err := (&http.Client{}).Get(s.url + "/status/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer streaming.Body.Close()
	lines := bufio.NewScanner(streaming.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: {") {
	}
	if !strings.Contains(lines.Text(), `"findings"`) {
		t.Fatalf("the stream begins with %.300q", lines.Text())
	}
	s.load(directives)
	for lines.Scan() { // until the stream ends
	}
	if re := s.get("/status/view.json"); re.status != 200 {
		t.Errorf("after the reload: %d %v", re.status, re.err)
	}
}

// readAll reads an answer to its end.
func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
