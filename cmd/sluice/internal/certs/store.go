package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often files are looked at. There is no event for all ways in which they change:
// what they are reached by may be links, as Certbot makes them, or be on another machine.
const checkEvery = 2 * time.Second

// Store has all certificates of a server. Its methods may be called concurrently.
type Store struct {
	log   *slog.Logger
	table atomic.Pointer[table]
	acme  atomic.Pointer[authority] // nil: none

	changing sync.Mutex // held while the certificates change
	watched  []*watched
	ctx      context.Context // of questions to responders, ended by Close
	cancel   context.CancelFunc
	client   *http.Client  // asks them
	kept     string        // where staples are kept without ACME
	staples  string        // where they are
	stop     chan struct{} // nil: nothing is watched yet
	stopped  sync.WaitGroup
}

// watched is a pair whose files are looked at.
type watched struct {
	*Pair
	failed bool     // the files could not be used
	seen   [2]stamp // of the files then
	told   bool     // the log says so
	warned time.Time
	ocsp   stapling
}

// New returns a store without certificates. It keeps OCSP responses in a directory for the next start, or, with
// ACME, in that of ACME.
func New(log *slog.Logger, directory string) *Store {
	s := &Store{log: log, kept: directory, client: http.DefaultClient}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.table.Store(new(table))
	return s
}

// ReadPair reads a certificate with its chain, and its key, which may be in the same file: key is "" or
// the same then. What is in use and has not changed is not parsed again. The error is a *FileError.
func (s *Store) ReadPair(certificate, key string) (*Pair, error) {
	p := newPair(certificate, key)
	return p.read(s.former(p))
}

// former returns the pair of the same files that is in use, nil if there is none.
func (s *Store) former(p *Pair) *Pair {
	s.changing.Lock()
	defer s.changing.Unlock()
	for _, w := range s.watched {
		if w.certificate == p.certificate && w.key == p.key {
			return new(*w.Pair) // whose staple may be another soon
		}
	}
	return nil
}

// Use puts pairs in place of all former ones, and has certificates obtained as acme says; nil: none
// are. The order of the pairs matters to clients that ask for no name: they get the first.
func (s *Store) Use(pairs []*Pair, acme *ACME) {
	s.changing.Lock()
	defer s.changing.Unlock()
	former := s.watched
	s.watched = nil
	for _, p := range pairs {
		if i := slices.IndexFunc(former, func(w *watched) bool { return w.same(p) }); i >= 0 {
			s.watched = append(s.watched, former[i])
			continue
		}
		s.watched = append(s.watched, &watched{Pair: p})
	}
	s.staples = s.kept
	if acme != nil {
		s.staples = acme.Directory
	}
	s.staples = filepath.Join(s.staples, "staples")
	now := time.Now()
	s.staple(now)
	s.table.Store(newTable(s.watched))
	s.warn(now)
	s.useACME(acme)
	if s.stop == nil && len(s.watched) > 0 {
		stop := make(chan struct{})
		s.stop = stop
		s.stopped.Go(func() { s.watch(stop) })
	}
}

// useACME goes on with the certificate authority, or with another one.
func (s *Store) useACME(acme *ACME) {
	now := s.acme.Load()
	switch {
	case acme == nil && now != nil:
		s.acme.Store(nil)
	case acme != nil && now != nil && now.settings.sameAuthority(acme):
		now.manage(acme.Names)
		return
	case acme != nil:
		s.acme.Store(newAuthority(acme, s.log))
	}
	if now != nil {
		now.close()
	}
}

// Close ends all that the store does.
func (s *Store) Close() {
	s.changing.Lock()
	if s.stop != nil {
		close(s.stop)
		s.stop = nil
	}
	s.useACME(nil)
	s.cancel()
	s.changing.Unlock()
	s.stopped.Wait()
}

// watch looks at the files until stop is closed.
func (s *Store) watch(stop <-chan struct{}) {
	ticks := time.NewTicker(checkEvery)
	defer ticks.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-ticks.C:
			s.check(now)
		}
	}
}

// check reads the files that have changed.
func (s *Store) check(now time.Time) {
	s.changing.Lock()
	defer s.changing.Unlock()
	changed := false
	for _, w := range s.watched {
		changed = w.check(s.log) || changed
	}
	if s.staple(now) || changed {
		s.table.Store(newTable(s.watched))
	}
	s.warn(now)
}

// check reads the files if they have changed, and reports whether another certificate is in use.
// Files are written one after the other, so that what does not fit is read once more before the log
// says so.
func (w *watched) check(log *slog.Logger) bool {
	now := w.now()
	if equal(now, w.stamps) {
		w.told, w.failed = false, false
		return false
	}
	if w.told && equal(now, w.seen) {
		return false
	}
	p, err := newPair(w.certificate, w.key).read(w.Pair)
	if err != nil {
		if w.failed && equal(now, w.seen) {
			w.told = true
			log.Error("a certificate's files have changed, and cannot be used; the certificate before stays in use",
				"error", err.Error(), "expires", day(w.leaf().NotAfter), "advice", "put a certificate and the key that fits it there; they are read again by themselves")
		}
		w.failed, w.seen = true, now
		return false
	}
	other := !w.same(p)
	if !other {
		p.setStaple(w.ocsp.has)
		*w = watched{Pair: p, ocsp: w.ocsp}
	} else {
		*w = watched{Pair: p}
		log.Info("a certificate has changed, and is in use", "file", p.certificate, "names", strings.Join(p.names(), " "), "expires", day(p.leaf().NotAfter))
	}
	return other
}

// warnEvery is how often the log tells of a certificate that expires.
const warnEvery = 24 * time.Hour

func (s *Store) warn(now time.Time) {
	for _, w := range s.watched {
		if text := w.Warning(now); text != "" && now.Sub(w.warned) >= warnEvery {
			w.warned = now
			s.log.Warn(text, "names", strings.Join(w.names(), " "), "advice", "put the certificate that is to be used there, with its key; they are read again by themselves")
		}
	}
}

// table finds certificates by names.
type table struct {
	byName map[string][]*tls.Certificate // names, and patterns with "*."
	first  *tls.Certificate
}

func newTable(pairs []*watched) *table {
	t := &table{byName: make(map[string][]*tls.Certificate)}
	for _, p := range pairs {
		if t.first == nil {
			t.first = p.loaded
		}
		for _, name := range p.names() {
			t.byName[name] = append(t.byName[name], p.loaded)
		}
	}
	return t
}

// of returns the certificate for exactly a name or pattern, nil if there is none. There may be several
// with keys of different kinds.
func (t *table) of(name string, hello *tls.ClientHelloInfo) *tls.Certificate {
	list := t.byName[name]
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	if len(list) > 0 {
		return list[0] // the handshake says why it does not suit
	}
	return nil
}

var errNone = errors.New("there is no certificate")

// GetCertificate is that of tls.Config.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	acme, t := s.acme.Load(), s.table.Load()
	if acme != nil && slices.Equal(hello.SupportedProtos, challengeProtos) {
		return acme.config.GetCertificate(hello)
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if c := t.of(name, hello); c != nil {
		return c, nil
	}
	if acme != nil && acme.has(name) {
		return acme.config.GetCertificate(hello)
	}
	if _, rest, ok := strings.Cut(name, "."); ok {
		if c := t.of("*."+rest, hello); c != nil {
			return c, nil
		}
	}
	switch {
	case t.first != nil:
		return t.first, nil
	case acme != nil && name == "":
		return acme.any(hello)
	}
	return nil, fmt.Errorf("%w for %q", errNone, name)
}

// HandleChallenge answers a request of a certificate authority, and reports whether r was one.
func (s *Store) HandleChallenge(w http.ResponseWriter, r *http.Request) bool {
	acme := s.acme.Load()
	return acme != nil && acme.issuer.HandleHTTPChallenge(w, r)
}

// FromACME is the source of certificates that are obtained by it.
const FromACME = "acme"

// Certificate is the state of one.
type Certificate struct {
	Names   []string   `json:"names"`
	Source  string     `json:"source"`            // the file, or FromACME
	Expires *time.Time `json:"expires,omitempty"` // nil: there is none yet
	Error   string     `json:"error,omitempty"`   // why there is none, or no newer one, or clients refuse it
	Staple  *time.Time `json:"staple,omitempty"`  // of one in a file: how long the OCSP response is valid; nil: none is sent
}

// Snapshot returns the state of all certificates.
func (s *Store) Snapshot() []Certificate {
	s.changing.Lock()
	list := make([]Certificate, 0, len(s.watched))
	for _, w := range s.watched {
		c := Certificate{Names: w.names(), Source: w.certificate, Expires: &w.leaf().NotAfter}
		if w.loaded.OCSPStaple != nil {
			c.Staple = &w.ocsp.has.expires
		}
		if c.Error = w.ocsp.problem(w.Pair); w.told {
			c.Error = "the files have changed, and cannot be used"
		}
		list = append(list, c)
	}
	s.changing.Unlock()
	if acme := s.acme.Load(); acme != nil {
		list = append(list, acme.snapshot()...)
	}
	return list
}
