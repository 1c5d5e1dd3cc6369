package status

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/internal/leakcheck"
	"github.com/sluice-proxy/sluice/bridge/pool"
)

func TestMain(m *testing.M) { os.Exit(leakcheck.Main(m)) }

func serve(method, path string) *httptest.ResponseRecorder {
	h := Handler(func() bridge.Snapshot {
		return bridge.Snapshot{
			InFlight: 3,
			Gate:     admission.Snapshot{Workers: 4, InUse: 2, Waiting: 1},
			Pool:     pool.Snapshot{Instances: []pool.InstanceSnapshot{{Addr: "unix:/run/app.sock", Workers: 4, Busy: 2}}},
		}
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestHealthz(t *testing.T) {
	w := serve("GET", "/healthz")
	if w.Code != 200 || w.Body.String() != "ok\n" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestStatusJSON(t *testing.T) {
	w := serve("GET", "/status.json")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var got struct {
		InFlight int `json:"in_flight"`
		Gate     struct {
			Workers int `json:"workers"`
			InUse   int `json:"in_use"`
			Waiting int `json:"waiting"`
		} `json:"gate"`
		Pool struct {
			Instances []struct {
				Addr string `json:"addr"`
				Busy int    `json:"busy"`
			} `json:"instances"`
		} `json:"pool"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.InFlight != 3 || got.Gate.Workers != 4 || got.Gate.InUse != 2 || got.Gate.Waiting != 1 ||
		len(got.Pool.Instances) != 1 || got.Pool.Instances[0].Addr != "unix:/run/app.sock" || got.Pool.Instances[0].Busy != 2 {
		t.Errorf("%+v\n%s", got, w.Body)
	}
}

func TestNothingElse(t *testing.T) {
	for path, status := range map[string]int{"/": 404, "/healthz/x": 404, "/status": 404} {
		if w := serve("GET", path); w.Code != status {
			t.Errorf("GET %s: %d, want %d", path, w.Code, status)
		}
	}
	for _, path := range []string{"/healthz", "/status.json"} {
		if w := serve("POST", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d, want 405", path, w.Code)
		}
	}
}
