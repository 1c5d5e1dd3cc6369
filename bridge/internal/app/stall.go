package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

const (
	StallLines = 20  // requests that are listed
	StallPath  = 200 // bytes of a path that are shown
)

// logStall tells the log of a stall, once at its begin and once at its end.
func (a *Application) logStall(s admission.Stall) {
	if !s.Ended.IsZero() {
		a.hooks.Logger.Warn("the application answers again", "stalled_for", s.Ended.Sub(s.Began).Round(time.Millisecond))
		return
	}
	attrs := []slog.Attr{slog.Int("count", len(s.Held)), slog.Any("in_flight", inFlight(s.Held[:min(StallLines, len(s.Held))]))}
	if n := len(s.Held) - StallLines; n > 0 {
		attrs = append(attrs, slog.String("and", fmt.Sprintf("%d more", n)))
	}
	a.hooks.Logger.LogAttrs(context.Background(), slog.LevelWarn, "the application answers nobody; one request at a time finds out when it does again", append(attrs, slog.String("advice", "see what the oldest requests in flight wait for: a lock, a database, another server"))...)
}

// inFlight is a list of requests as the log has it: a line of text, or an array.
type inFlight []admission.InFlight

// MarshalText is for slog.TextHandler.
func (l inFlight) MarshalText() ([]byte, error) {
	var text []byte
	for i, r := range l {
		if i > 0 {
			text = append(text, "; "...)
		}
		text = fmt.Appendf(text, "%s %s %v %s", r.Method, shortPath(r.Path), r.Age.Round(time.Millisecond), r.Lane)
		if r.ClientKey != 0 {
			text = fmt.Appendf(text, " client key %s", admission.ClientKeyName(r.ClientKey))
		}
		if r.Instance != "" {
			text = fmt.Appendf(text, " at %s", r.Instance)
		}
	}
	return text, nil
}

// MarshalJSON is for slog.JSONHandler.
func (l inFlight) MarshalJSON() ([]byte, error) {
	type request struct {
		Method    string  `json:"method"`
		Path      string  `json:"path"`
		Age       float64 `json:"age_s"`
		Lane      string  `json:"lane"`
		ClientKey string  `json:"client_key,omitempty"`
		Instance  string  `json:"instance,omitempty"`
	}
	list := make([]request, len(l))
	for i, r := range l {
		list[i] = request{Method: r.Method, Path: shortPath(r.Path), Age: r.Age.Seconds(), Lane: r.Lane.String(), Instance: r.Instance}
		if r.ClientKey != 0 {
			list[i].ClientKey = admission.ClientKeyName(r.ClientKey)
		}
	}
	return json.Marshal(list)
}

func shortPath(p string) string {
	if len(p) <= StallPath {
		return p
	}
	return strings.ToValidUTF8(p[:StallPath], "") + "..."
}
