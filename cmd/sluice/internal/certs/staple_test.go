package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"golang.org/x/crypto/ocsp"
)

// issuer issues a certificate, and answers as its responder.
type issuer struct {
	t           *testing.T
	mu          sync.Mutex // of what follows
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // with the certificate that was issued

	away   bool
	status int
	asked  int
	lasts  time.Duration     // of a response; 0: it does not say
	signer *x509.Certificate // nil: the issuer itself
}

func newIssuer(t *testing.T, mustStaple bool) *issuer {
	t.Helper()
	i := &issuer{t: t, lasts: 8 * time.Hour}
	i.certificate, i.key = i.make(&x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}, nil, nil)
	of := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"a.test"}, OCSPServer: []string{"http://responder.test/"}}
	if mustStaple {
		of.ExtraExtensions = []pkix.Extension{{Id: tlsFeature, Value: []byte{0x30, 3, 2, 1, 5}}}
	}
	leaf, key := i.make(of, i.certificate, i.key)
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: leaf.Raw}, {Type: "CERTIFICATE", Bytes: i.certificate.Raw}, {Type: "EC PRIVATE KEY", Bytes: secret}} {
		_ = pem.Encode(&text, block) // to memory
	}
	i.file = put(t, t.TempDir()+"/a.pem", text.Bytes())
	return i
}

func (i *issuer) make(of, by *x509.Certificate, byKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	if by == nil {
		by, byKey = of, key
	}
	of.NotBefore, of.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, of, by, &key.PublicKey, byKey)
	if err != nil {
		i.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return c, key
}

// RoundTrip is the responder.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked++
	away := i.away
	i.mu.Unlock()
	if away {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	question, err := ocsp.ParseRequest(text)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	of, by, key := ocsp.Response{Status: i.status, SerialNumber: question.SerialNumber, ThisUpdate: time.Now(), RevokedAt: time.Now()}, i.certificate, i.key
	if i.lasts != 0 {
		of.NextUpdate = time.Now().Add(i.lasts)
	}
	if i.signer != nil {
		by, key = i.make(i.signer, i.certificate, i.key)
		of.Certificate = by
	}
	raw, err := ocsp.CreateResponse(i.certificate, by, of, key)
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(raw))}, err
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// storeOf is a store with the issuer's certificate.
func (i *issuer) storeOf(directory string, log *bytes.Buffer) *Store {
	s := New(slog.New(slog.NewTextHandler(log, nil)), directory)
	s.client = &http.Client{Transport: i}
	s.Use(pairs(i.t, i.file), nil)
	return s
}

func (s *Store) stapled() bool { return s.table.Load().first.OCSPStaple != nil }

// A response is asked for at once, and again half-way; one that has run out is not sent any more.
func TestStaple(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, log := newIssuer(t, false), new(bytes.Buffer)
		s := i.storeOf(t.TempDir(), log)
		defer s.Close()
		after := func(wait time.Duration, stapled bool, asked int) {
			t.Helper()
			time.Sleep(wait)
			synctest.Wait()
			if s.stapled() != stapled || i.count() != asked {
				t.Errorf("stapled: %v, want %v; asked %d times, want %d\n%s", s.stapled(), stapled, i.count(), asked, log)
			}
		}
		after(0, true, 1)
		after(4*time.Hour-time.Minute, true, 1)
		after(2*time.Minute, true, 2)
		first := s.table.Load().first
		i.set(func() { i.away = true })
		after(4*time.Hour-3*time.Minute, true, 2)
		after(150*time.Second, true, 3)
		after(3*time.Hour, true, 3+7) // after 1, 2, 4, 8, 16, 32 and 60 minutes
		after(2*time.Hour, false, 3+9)
		if strings.Count(log.String(), "no new OCSP response") != 2 || first.OCSPStaple == nil || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("a handshake that has begun has %v\n%s", first.OCSPStaple, log)
		}
		i.set(func() { i.away = false })
		after(time.Hour, true, 3+10)
		if got := s.Snapshot()[0]; got.Staple == nil || got.Error != "" {
			t.Errorf("%+v", got)
		}
	})
}

// A new start begins with the response of the former one. A certificate that needs one and has none is told once.
func TestStapleKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, log, dir := newIssuer(t, true), new(bytes.Buffer), t.TempDir()
		i.set(func() { i.away = true })
		s := i.storeOf(dir, log)
		time.Sleep(3 * time.Hour)
		if got := s.Snapshot()[0]; got.Staple != nil || !strings.Contains(got.Error, "without which clients refuse it") || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("%+v\n%s", got, log)
		}
		i.set(func() { i.away = false })
		time.Sleep(time.Hour)
		s.Close()
		if !s.stapled() {
			t.Fatal(log)
		}
		asked := i.count()
		i.set(func() { i.away = true })
		s = i.storeOf(dir, log)
		if !s.stapled() {
			t.Error("the response of the former start is not sent")
		}
		time.Sleep(time.Hour)
		if s.Close(); i.count() != asked {
			t.Error("the responder is asked although there is a response")
		}
	})
}

// What is no good answer is not sent, nor kept.
func TestStapleRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*issuer)
		stapled bool
		want    string // in the log
	}{
		"revoked":     {func(i *issuer) { i.status = ocsp.Revoked }, false, "revoked on"},
		"unknown":     {func(i *issuer) { i.status = ocsp.Unknown }, false, "unknown to its issuer"},
		"another's":   {func(i *issuer) { i.certificate, i.key = newIssuer(i.t, false).certificate, newIssuer(i.t, false).key }, false, "no new OCSP response"},
		"too old":     {func(i *issuer) { i.lasts = -time.Hour }, false, "is valid until"},
		"says no end": {func(i *issuer) { i.lasts = 0 }, true, ""},
		"signed by a server": {func(i *issuer) {
			i.signer = &x509.Certificate{SerialNumber: big.NewInt(3), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		}, false, "which may not"},
		"signed for it": {func(i *issuer) {
			i.signer = &x509.Certificate{SerialNumber: big.NewInt(3), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
		}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, log, dir := newIssuer(t, false), new(bytes.Buffer), t.TempDir()
				s := i.storeOf(dir, log) // a good one is there first
				time.Sleep(time.Minute)
				i.set(func() { c.change(i) })
				time.Sleep(10 * time.Hour)
				s.Close()
				if s.stapled() != c.stapled || !strings.Contains(log.String(), c.want) || strings.Count(log.String(), c.want) > 1 && c.want != "" && strings.Contains(log.String(), "ERROR") {
					t.Errorf("stapled: %v\n%s", s.stapled(), log)
				}
				i.set(func() { i.away = true })
				again := i.storeOf(dir, log)
				if again.Close(); again.stapled() != c.stapled {
					t.Errorf("a new start has one: %v", again.stapled())
				}
			})
		})
	}
}

// Who cannot be asked is not: the certificate names nobody, or its issuer's is not in the file.
func TestStapleNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, log := newIssuer(t, true), new(bytes.Buffer)
		p := pairs(t, i.file)[0]
		p.loaded.Certificate = p.loaded.Certificate[:1]
		s := New(slog.New(slog.NewTextHandler(log, nil)), t.TempDir())
		s.client = &http.Client{Transport: i}
		s.Use([]*Pair{p}, nil)
		time.Sleep(time.Hour)
		if s.Close(); i.asked > 0 || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("asked %d times\n%s", i.asked, log)
		}
		if _, err := parseStaple([]byte("x"), p.leaf(), i.certificate, time.Now()); err == nil || errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// A certificate that a former start has obtained is used although its responder has no answer, and the question's
// connection is not kept.
func TestResponderOfACME(t *testing.T) {
	closes := make(chan bool, 1)
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closes <- r.Close
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer responder.Close()
	i := &issuer{t: t}
	by, byKey := i.make(&x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}, nil, nil)
	leaf, key := i.make(&x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: []string{"a.test"}, OCSPServer: []string{responder.URL}}, by, byKey)
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	acme := &ACME{CA: "https://127.0.0.1:1/dir", Directory: acmeDirectory(t), Names: []string{"a.test"}}
	of := (&certmagic.ACMEIssuer{CA: acme.CA}).IssuerKey()
	for at, text := range map[string][]byte{
		certmagic.StorageKeys.SiteCert(of, "a.test"): append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: by.Raw})...),
		certmagic.StorageKeys.SitePrivateKey(of, "a.test"): pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
		certmagic.StorageKeys.SiteMeta(of, "a.test"):       []byte(`{"sans":["a.test"]}`),
	} {
		path := filepath.Join(acme.Directory, at)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, path, text)
	}
	s := New(slog.New(slog.DiscardHandler), t.TempDir())
	defer s.Close()
	s.Use(nil, acme)
	if got := s.serial(t, "a.test"); got != 7 {
		t.Errorf("it has %d", got)
	}
	if !<-closes {
		t.Error("the connection to the responder is kept")
	}
}
