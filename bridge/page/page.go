package page

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
)

// Application is an application on the page. It is a *bridge.Application.
type Application interface {
	Sample() admission.Sample
	QuickSnapshot() bridge.Snapshot // without what the processes use
	Snapshot() bridge.Snapshot
	RequestsInFlight() []admission.InFlight
	Users(n int) ([]admission.RouteSnapshot, []admission.ClientSnapshot)
	Events() []events.Event
}

// Named is an application with the name by which the page shows it.
type Named struct {
	Name string
	Application
}

// Options say what a Page shows.
type Options struct {
	// Applications returns the applications there are now. Names are unique.
	Applications func() []Named
	// Front returns the state of the servers in front. Default: it is not shown.
	Front func() Front
	// Version is that of the program.
	Version string
	// MaxViewers is how many browsers may have the page open. Default: 128.
	MaxViewers int
}

// Page is an http.Handler for the page. Close it at the end.
type Page struct {
	options Options
	sampler sampler
	stream  stream

	full struct { // view.json, encoded at most once a second
		sync.Mutex
		at   time.Time
		body []byte
	}

	closing chan struct{}
	close   func()
	ended   sync.WaitGroup
}

// every is how often samples and states are taken.
const every = time.Second

// New returns a Page, which begins to keep a history.
func New(o Options) *Page {
	if o.MaxViewers == 0 {
		o.MaxViewers = 128
	}
	p := &Page{options: o, closing: make(chan struct{})}
	p.sampler = sampler{options: &p.options, started: time.Now(), rings: make(map[string]*ring)}
	p.stream = stream{viewers: make(map[chan []byte]struct{}), servers: make(map[*http.Server]chan struct{}), most: o.MaxViewers}
	p.close = sync.OnceFunc(func() { close(p.closing) })
	p.ended.Go(p.run)
	return p
}

// Close ends all streams. It does not wait for handlers in progress.
func (p *Page) Close() {
	p.close()
	p.ended.Wait()
}

// Findings returns what is the matter with an application, as the page says it.
func (p *Page) Findings(a Named) []Finding {
	now, s := time.Now(), a.QuickSnapshot()
	_, clients := a.Users(mostUsers)
	_, latest := p.sampler.history(a.Name, false)
	return say(&facts{now, &s, a.RequestsInFlight(), clients, latest})
}

// FrontFindings returns what is the matter with the servers in front, as the page says it; nothing if
// all is well.
func FrontFindings(f Front) []Finding { return f.say(time.Now()) }

// run takes samples, and sends the state to the viewers.
func (p *Page) run() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.closing:
			return
		case now := <-tick.C:
			p.sampler.sample(now)
			if p.stream.watched() {
				p.stream.send(encode(p.sampler.view(now, false)))
			}
		}
	}
}

// encode returns a View as JSON. Encoding cannot fail: a View has neither channels nor cycles.
func encode(v *View) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

//go:embed static
var embedded embed.FS

// files are what the page consists of.
var files = func() fs.FS {
	dir, err := fs.Sub(embedded, "static")
	if err != nil {
		panic(err)
	}
	return dir
}()

// policy lets the page use only what is served beside it: no script, style or connection of
// others, nor any in its own text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP serves the page below any path that ends with a slash.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 Method Not Allowed: the page can only be read", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	dir, name := path.Split(r.URL.Path)
	if path.Base(dir) == "static" && name != "" {
		h.Set("Cache-Control", "no-cache")
		serveFile(w, r, name)
		return
	}
	if !sameOrigin(r) && name != "" {
		http.Error(w, "403 Forbidden: the state is only for pages of this server", http.StatusForbidden)
		return
	}
	switch name {
	case "":
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		serveFile(w, r, "index.html")
	case "view.json":
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(p.view()) // the client may have left
	case "stream":
		p.stream.serve(w, r, p.closing)
	default:
		http.NotFound(w, r)
	}
}

func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	http.ServeFileFS(w, &http.Request{Method: r.Method, Header: r.Header, URL: &url.URL{Path: "/file"}}, files, name)
}

// view returns the state with its history. It is encoded once a second at most, however often it is
// asked for.
func (p *Page) view() []byte {
	p.full.Lock()
	defer p.full.Unlock()
	if now := time.Now(); now.Sub(p.full.at) >= every {
		p.full.at, p.full.body = now, encode(p.sampler.view(now, true))
	}
	return p.full.body
}

// sameOrigin reports whether a request is not by a web page of another origin. Browsers say so in
// one of two fields; programs that are no browsers send neither.
func sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
