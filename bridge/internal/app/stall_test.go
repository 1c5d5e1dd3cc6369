package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

// manyInFlight is what a large application may have in flight.
func manyInFlight(n int) (held []admission.InFlight) {
	for i := range n {
		held = append(held, admission.InFlight{
			Method: "GET", Path: fmt.Sprintf("/%d/%s", i, strings.Repeat("é", 200)), Instance: "unix:/run/app.sock",
			ClientKey: uint64(i), Age: 1500 * time.Millisecond, Lane: admission.Mixed,
		})
	}
	return held
}

// A report is of bounded length, and both kinds of log show it.
func TestStallReport(t *testing.T) {
	var text, lines bytes.Buffer
	a := new(Application)
	a.hooks.Logger = slog.New(slog.NewTextHandler(&text, nil))
	a.logStall(admission.Stall{Began: time.Now(), Held: manyInFlight(25)})
	a.hooks.Logger = slog.New(slog.NewJSONHandler(&lines, nil))
	a.logStall(admission.Stall{Began: time.Now(), Held: manyInFlight(25)})

	if n := strings.Count(text.String(), "GET /"); n != StallLines || !strings.Contains(text.String(), `and="5 more"`) || strings.ContainsRune(text.String(), '\uFFFD') {
		t.Errorf("%d requests: %s", n, &text)
	}
	if want := "mixed client key " + admission.ClientKeyName(1) + " at unix:/run/app.sock"; !strings.Contains(text.String(), want) {
		t.Errorf("lacks %q: %s", want, &text)
	}
	var got struct {
		Count    int    `json:"count"`
		And      string `json:"and"`
		InFlight []struct {
			Method, Path, Lane, Instance string
			ClientKey                    string  `json:"client_key"`
			Age                          float64 `json:"age_s"`
		} `json:"in_flight"`
	}
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Count != 25 || got.And != "5 more" || len(got.InFlight) != StallLines {
		t.Fatalf("%s", &lines)
	}
	if f := got.InFlight[1]; f.Method != "GET" || !strings.HasPrefix(f.Path, "/1/é") || len(f.Path) > StallPath+3 || f.Lane != "mixed" ||
		f.ClientKey != admission.ClientKeyName(1) || f.Instance != "unix:/run/app.sock" || f.Age != 1.5 {
		t.Errorf("%+v", f)
	}
	if got.InFlight[0].ClientKey != "" {
		t.Errorf("nobody is called %q", got.InFlight[0].ClientKey)
	}
}
