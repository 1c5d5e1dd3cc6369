package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ACME says from whom certificates are obtained, and for which names.
type ACME struct {
	CA, Email string
	Roots     *x509.CertPool // that CA itself is trusted by; nil: the system's
	RootFile  string         // that has them
	Directory string         // for keys, certificates and accounts
	Names     []string
	// HTTPPort and TLSPort are where this server listens for the challenges; 0: that challenge is not
	// used. Host is the address, "" for any.
	HTTPPort, TLSPort int
	Host              string
	Advice            string // what to do if a certificate is not issued
}

func (a *ACME) sameAuthority(b *ACME) bool {
	return a.CA == b.CA && a.Email == b.Email && a.RootFile == b.RootFile && a.Directory == b.Directory && a.HTTPPort == b.HTTPPort && a.TLSPort == b.TLSPort && a.Host == b.Host
}

// ReadRoots reads a file with root certificates. The error is a *FileError.
func ReadRoots(path string) (*x509.CertPool, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, &FileError{path, false, err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &FileError{path, false, errors.New("has no certificate in PEM")}
	}
	return pool, nil
}

// MakeDirectory makes the directory for what is kept, which only its owner may enter.
func (a *ACME) MakeDirectory() error {
	if err := os.MkdirAll(a.Directory, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(a.Directory, ".check-")
	if err != nil {
		return err
	}
	_ = f.Close() // nothing was written
	return os.Remove(f.Name())
}

var challengeProtos = []string{"acme-tls/1"}

// loadGrace is how long certificates of an earlier start may take to be loaded before anything is
// served without them.
const loadGrace = 5 * time.Second

// authority obtains certificates, and renews them.
type authority struct {
	settings *ACME
	log      *slog.Logger
	cache    *certmagic.Cache
	config   *certmagic.Config
	issuer   *certmagic.ACMEIssuer

	mu      sync.Mutex
	managed map[string]*managed // by name
}

// managed is a name that has, or gets, a certificate.
type managed struct {
	cancel context.CancelFunc // ends obtaining it
	loaded chan struct{}      // closed when there is a certificate
	once   sync.Once
	failed string // why the last try has failed; "": it has not
}

func newAuthority(settings *ACME, log *slog.Logger) *authority {
	a := &authority{settings: settings, log: log, managed: make(map[string]*managed)}
	silent := zap.NewNop() // what matters are events
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil },
		Logger:           silent,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: settings.Directory}, Logger: silent, OnEvent: a.event,
		OCSP:           certmagic.OCSPConfig{HTTPProxy: askOnce},
		ShouldEmitFunc: func(event string) bool { return event != "tls_get_certificate" },
	})
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: settings.CA, Email: settings.Email, Agreed: true, TrustedRoots: settings.Roots,
		DisableHTTPChallenge: settings.HTTPPort == 0, DisableTLSALPNChallenge: settings.TLSPort == 0,
		AltHTTPPort: settings.HTTPPort, AltTLSALPNPort: settings.TLSPort, ListenHost: settings.Host,
		Logger: silent,
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	a.manage(settings.Names)
	return a
}

// askOnce returns the proxy by which a responder of OCSP is reached. With a function for that, certmagic
// bounds the time of its questions (30 s), before whose end a certificate is not used; without one, a
// responder that accepts and is silent would keep it for ever. Each question has a transport of its own, so no
// connection is to be kept.
func askOnce(r *http.Request) (*url.URL, error) {
	r.Close = true
	return http.ProxyFromEnvironment(r)
}

// manage obtains certificates for these names, and for no others. It waits a moment for those that
// were obtained before.
func (a *authority) manage(names []string) {
	var kept []*managed
	var gone []certmagic.SubjectIssuer
	a.mu.Lock()
	for name, m := range a.managed {
		if !slices.Contains(names, name) {
			m.cancel()
			delete(a.managed, name)
			gone = append(gone, certmagic.SubjectIssuer{Subject: name})
		}
	}
	begin := make(map[string]context.Context)
	for _, name := range names {
		if a.managed[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		m := &managed{cancel: cancel, loaded: make(chan struct{})}
		a.managed[name] = m
		begin[name] = ctx
		if a.config.Storage.Exists(ctx, certmagic.StorageKeys.SiteCert(a.issuer.IssuerKey(), name)) {
			kept = append(kept, m)
		}
	}
	a.mu.Unlock()
	a.cache.RemoveManaged(gone)
	for name, ctx := range begin {
		_ = a.config.ManageAsync(ctx, []string{name}) // it fails for on-demand certificates only
	}
	grace := time.NewTimer(loadGrace)
	defer grace.Stop()
	for _, m := range kept {
		select {
		case <-m.loaded:
		case <-grace.C:
			return
		}
	}
}

// close ends it. It does not wait for the answer to a question that is on its way.
func (a *authority) close() {
	a.mu.Lock()
	for _, m := range a.managed {
		m.cancel()
	}
	a.mu.Unlock()
	go a.cache.Stop() // which does
}

// of returns what is known of a name, nil if it is not managed.
func (a *authority) of(name string) *managed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.managed[name]
}

func (a *authority) has(name string) bool { return a.of(name) != nil }

// event is told by certmagic what happens.
func (a *authority) event(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cached_managed_cert":
		names, _ := data["sans"].([]string)
		for _, name := range names {
			if m := a.of(name); m != nil {
				m.once.Do(func() { close(m.loaded) })
			}
		}
		return nil
	case "cert_obtaining", "cert_obtained", "cert_failed":
	default:
		return nil
	}
	name, _ := data["identifier"].(string)
	m := a.of(name)
	if m == nil {
		return nil // it is not wanted any more
	}
	renewal, _ := data["renewal"].(bool)
	why, _ := data["error"].(error)
	a.mu.Lock()
	m.failed = ""
	if why != nil {
		m.failed = why.Error()
	}
	a.mu.Unlock()
	switch event {
	case "cert_obtaining":
		a.log.Info("a certificate is being obtained", "name", name, "renewal", renewal, "ca", a.settings.CA)
	case "cert_obtained":
		a.log.Info("a certificate was issued", "name", name, "renewal", renewal, "ca", a.settings.CA)
	case "cert_failed":
		a.log.Error("no certificate was issued; it is tried again", "name", name, "renewal", renewal, "ca", a.settings.CA, "error", m.failed, "advice", a.settings.Advice)
	}
	return nil
}

// any returns a certificate for a client that asks for no name.
func (a *authority) any(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, name := range a.names() {
		for _, c := range a.cache.AllMatchingCertificates(name) {
			if hello.SupportsCertificate(&c.Certificate) == nil {
				return &c.Certificate, nil
			}
		}
	}
	return nil, errNone
}

func (a *authority) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.managed))
}

// snapshot returns the state of each name.
func (a *authority) snapshot() (list []Certificate) {
	for _, name := range a.names() {
		c := Certificate{Names: []string{name}, Source: FromACME}
		for _, has := range a.cache.AllMatchingCertificates(name) {
			if has.Leaf != nil && slices.Contains(has.Names, name) && (c.Expires == nil || has.Leaf.NotAfter.After(*c.Expires)) {
				c.Expires = &has.Leaf.NotAfter
			}
		}
		if m := a.of(name); m != nil {
			a.mu.Lock()
			c.Error = m.failed
			a.mu.Unlock()
		}
		list = append(list, c)
	}
	return list
}

// Names returns the hosts among list for which a certificate authority can be asked by the challenges
// that are spoken here, and the others.
func Names(list []string) (names, others []string) {
	for _, host := range list {
		if strings.HasPrefix(host, "*.") || !certmagic.SubjectQualifiesForCert(host) || certmagic.SubjectIsIP(host) {
			others = append(others, host)
		} else if !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names, others
}
