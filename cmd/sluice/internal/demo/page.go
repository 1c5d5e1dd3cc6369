package demo

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/sluice-proxy/sluice/bridge/status"
)

//go:embed static
var static embed.FS

// policy lets the page use only what is served beside it, and nothing of its own text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// maxControl is the size of the largest request, in bytes.
const maxControl = 4 << 10

// page serves the page, its events and its controls.
func (d *Demo) page() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the directory is embedded
	}
	text := index(files, d.settings.Fleet != nil)
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(text)
	})
	mux.HandleFunc("GET /events", d.events)
	mux.HandleFunc("POST /control", d.control)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
	// Pages of other origins change nothing, and see nothing.
	return status.Guard(new(http.CrossOriginProtection).Handler(guarded), nil, nil)
}

// index is the page, as it is for a scene.
func index(files fs.FS, isFleet bool) []byte {
	text, err := fs.ReadFile(files, "index.html")
	if err != nil {
		panic(err) // it is embedded
	}
	if isFleet {
		text = bytes.Replace(text, []byte(`<body class="twice">`), []byte(`<body class="fleet">`), 1)
	}
	return text
}

// command is what the page sends: settings, or something that happens to both applications.
type command struct {
	Settings *Settings `json:"settings"`
	Do       string    `json:"do"` // "stall", "crash"
}

func (d *Demo) control(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "415 Unsupported Media Type: want application/json", http.StatusUnsupportedMediaType)
		return
	}
	var c command
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		http.Error(w, "400 Bad Request: "+err.Error(), http.StatusBadRequest)
		return
	}
	if c.Settings != nil {
		if err := d.check(c.Settings); err != nil {
			http.Error(w, "400 Bad Request: "+err.Error(), http.StatusBadRequest)
			return
		}
		d.set(*c.Settings)
	}
	switch c.Do {
	case "":
	case "stall", "crash":
		d.do(c.Do)
	default:
		http.Error(w, fmt.Sprintf("400 Bad Request: do %q: want stall or crash", c.Do), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// check returns what is wrong with settings that the page sends.
func (d *Demo) check(s *Settings) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isFleet := d.settings.Fleet != nil; isFleet != (s.Fleet != nil) {
		return fmt.Errorf("fleet: given %v, and sluice demo runs with --fleet: %v", s.Fleet != nil, isFleet)
	}
	return s.Check()
}

// publish encodes the state once, for all who look.
func (d *Demo) publish(p *Picture, news []News) {
	text, err := json.Marshal(struct {
		Settings Settings `json:"settings"`
		Threads  int      `json:"threads"`
		*Picture
		News []News `json:"news,omitempty"`
	}{d.settings, ThreadCount, p, news})
	if err != nil {
		panic(err) // numbers and words can be encoded
	}
	d.views = text
	close(d.fresh)
	d.fresh = make(chan struct{})
}

// events streams the views.
func (d *Demo) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	for {
		d.mu.Lock()
		text, fresh := d.views, d.fresh
		d.mu.Unlock()
		if text != nil {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil || rc.Flush() != nil {
				return
			}
		}
		select {
		case <-fresh:
		case <-r.Context().Done():
			return
		}
	}
}
