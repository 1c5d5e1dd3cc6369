package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// acmeDirectory returns a directory that is removed in the end. Closing a Store does not wait for what certmagic does, which
// may write there a moment longer.
func acmeDirectory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "acme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if err := os.RemoveAll(dir); err == nil {
				return
			} else if time.Now().After(end) {
				t.Error(err)
				return
			}
		}
	})
	return dir
}

// made is a certificate and its key, in PEM.
type made struct{ certificate, key []byte }

// issue makes a certificate that has signed itself, with a serial number by which tests know it.
func issue(t *testing.T, serial int64, notAfter time.Time, names ...string) made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return made{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}),
	}
}

func put(t *testing.T, path string, parts ...[]byte) string {
	t.Helper()
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func year() time.Time { return time.Now().Add(365 * 24 * time.Hour) }

// Each mistake is about the file that has it, and says which.
func TestReadPair(t *testing.T) {
	dir := t.TempDir()
	a, b := issue(t, 1, year(), "a.test"), issue(t, 2, year(), "b.test")
	certificate, key := put(t, dir+"/a.crt", a.certificate), put(t, dir+"/a.key", a.key)
	other, both := put(t, dir+"/b.key", b.key), put(t, dir+"/a.pem", a.key, a.certificate)
	damaged := put(t, dir+"/damaged", []byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), a.key)
	for _, tc := range []struct {
		certificate, key string
		file             string // about which an error is; "": there is none
		ofKey            bool
		want             string
	}{
		{certificate: certificate, key: key},
		{certificate: both},
		{certificate: both, key: both},
		{certificate, "", certificate, false, "has no key in PEM (\"-----BEGIN PRIVATE KEY-----\"): name the key's file"},
		{certificate, other, other, true, "this key is not that of the certificate in " + certificate},
		{certificate, certificate, certificate, false, "name the key's file"},
		{key, key, key, false, "has no certificate in PEM"},
		{certificate, dir + "/none", dir + "/none", true, "no such file"},
		{dir + "/none", key, dir + "/none", false, "no such file"},
		{dir, key, dir, false, "is a directory"},
		{damaged, "", damaged, false, "x509: malformed"},
	} {
		p, err := newPair(tc.certificate, tc.key).read(nil)
		if tc.file == "" {
			if err != nil || !p.Fits("a.test") || p.Fits("b.test") || p.Fits("*.a.test") {
				t.Errorf("%s, %s: %v", tc.certificate, tc.key, err)
			}
			continue
		}
		var of *FileError
		if !errors.As(err, &of) || of.File != tc.file || of.OfKey != tc.ofKey || !strings.Contains(of.Err.Error(), tc.want) {
			t.Errorf("%s, %s: %+v, want one of %s, of a key: %v, %q", tc.certificate, tc.key, err, tc.file, tc.ofKey, tc.want)
		}
	}
}

// What ends soon is worth a warning, and what has ended.
func TestWarning(t *testing.T) {
	m := issue(t, 1, year(), "a.test")
	p, err := newPair(put(t, filepath.Join(t.TempDir(), "a.pem"), m.certificate, m.key), "").read(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		at   time.Time
		want string
	}{
		{time.Now(), ""},
		{year().Add(-ExpiresSoon + time.Hour), "expires on"},
		{year().Add(time.Hour), "has expired on"},
		{time.Now().Add(-2 * time.Hour), "is not valid before"},
	} {
		if got := p.Warning(tc.at); (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("at %v: %q, want %q", tc.at, got, tc.want)
		}
	}
}

func pairs(t *testing.T, files ...string) (list []*Pair) {
	t.Helper()
	for _, file := range files {
		p, err := newPair(file, "").read(nil)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// handshake returns the serial number of the certificate that a client of a name gets.
func (s *Store) handshake(name string) (int64, error) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	served := make(chan error, 1)
	go func() {
		served <- tls.Server(ours, &tls.Config{GetCertificate: s.GetCertificate}).Handshake()
		_ = ours.Close()
	}()
	client := tls.Client(theirs, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	err := client.Handshake()
	if failed := <-served; failed != nil {
		return 0, failed
	}
	if err != nil {
		return 0, err
	}
	return client.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func (s *Store) serial(t *testing.T, name string) int64 {
	t.Helper()
	n, err := s.handshake(name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return n
}

// A name goes before a pattern, and both before the first one. While a name's own certificate is being
// obtained, it has none.
func TestGetCertificate(t *testing.T) {
	dir, s := t.TempDir(), New(slog.New(slog.DiscardHandler), t.TempDir())
	defer s.Close()
	if _, err := s.handshake("a.test"); !errors.Is(err, errNone) {
		t.Errorf("without certificates: %v", err)
	}
	var files []string
	for i, names := range [][]string{{"first.test"}, {"*.wiki.test", "wiki.test"}, {"en.wiki.test"}} {
		m := issue(t, int64(i+1), year(), names...)
		files = append(files, put(t, filepath.Join(dir, names[len(names)-1]), m.certificate, m.key))
	}
	s.Use(pairs(t, files...), nil)
	for name, want := range map[string]int64{
		"first.test": 1, "wiki.test": 2, "de.wiki.test": 2, "en.wiki.test": 3, "EN.Wiki.Test": 3, "en.wiki.test.": 3, "a.en.wiki.test": 1, "": 1, "other.test": 1,
	} {
		if got := s.serial(t, name); got != want {
			t.Errorf("%s has %d, want %d", name, got, want)
		}
	}
	// Nothing listens at the authority's address, and the name is not served meanwhile.
	acme := &ACME{CA: "https://127.0.0.1:1/dir", Directory: acmeDirectory(t), Names: []string{"de.wiki.test"}}
	s.Use(pairs(t, files...), acme)
	if n, err := s.handshake("de.wiki.test"); err == nil {
		t.Errorf("it has %d", n)
	}
	if got := s.serial(t, "fr.wiki.test"); got != 2 {
		t.Errorf("another has %d", got)
	}
	if s.HandleChallenge(httptest.NewRecorder(), httptest.NewRequest("GET", "/.well-known/acme-challenge/", nil)) {
		t.Error("a request that nobody has asked for was answered")
	}
	s.Use(pairs(t, files...), nil)
	if got := s.serial(t, "de.wiki.test"); got != 2 {
		t.Errorf("without the authority it has %d", got)
	}
}

// Files that change are read again. What cannot be used is told once, when it has stayed so.
func TestCheck(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "a.pem")
	first, second := issue(t, 1, year(), "a.test"), issue(t, 2, year(), "a.test")
	put(t, file, first.certificate, first.key)
	s := New(slog.New(slog.NewTextHandler(&log, nil)), t.TempDir())
	w := &watched{Pair: pairs(t, file)[0]}
	s.watched = []*watched{w}
	step := func(what string, want int64, told int) {
		t.Helper()
		s.check(time.Now())
		if got := w.leaf().SerialNumber.Int64(); got != want || strings.Count(log.String(), "level=ERROR") != told {
			t.Errorf("%s: %d is in use, want %d, and the log is\n%s", what, got, want, log.String())
		}
	}
	step("nothing", 1, 0)
	put(t, file, second.certificate, first.key)
	step("half of it", 1, 0)
	step("it stays", 1, 1)
	step("it stays", 1, 1)
	if got := s.Snapshot(); len(got) != 1 || got[0].Error == "" || got[0].Source != file {
		t.Errorf("%+v", got)
	}
	put(t, file, second.certificate, second.key)
	step("all of it", 2, 1)
	if got := s.Snapshot(); got[0].Error != "" {
		t.Errorf("%+v", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	step("it is gone", 2, 1)
	step("it stays away", 2, 2)
	put(t, file, second.certificate, second.key)
	step("it is back", 2, 2)
	if !strings.Contains(log.String(), "a certificate has changed, and is in use") {
		t.Errorf("the log is\n%s", log.String())
	}
}

// Only single names can be asked for.
func TestNames(t *testing.T) {
	names, others := Names([]string{"a.test", "*.a.test", "192.0.2.1", "a.test", "b.test"})
	if strings.Join(names, " ") != "a.test b.test" || strings.Join(others, " ") != "*.a.test 192.0.2.1" {
		t.Errorf("%q, %q", names, others)
	}
}

// What has not changed is not parsed again, and what has changed is.
func TestReadAgain(t *testing.T) {
	a := issue(t, 1, year(), "a.test")
	dir := t.TempDir()
	whole, apart, key := put(t, filepath.Join(dir, "a.pem"), a.certificate, a.key), put(t, filepath.Join(dir, "b.pem"), a.certificate), put(t, filepath.Join(dir, "b.key"), a.key)
	s := New(slog.New(slog.DiscardHandler), t.TempDir())
	defer s.Close()
	read := func(certificate, key string) *Pair {
		t.Helper()
		p, err := s.ReadPair(certificate, key)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := []*Pair{read(whole, ""), read(apart, key)}
	s.Use(first, nil)
	if read(whole, "").loaded != first[0].loaded || read(apart, key).loaded != first[1].loaded {
		t.Error("parsed again")
	}
	b := issue(t, 2, year(), "b.test")
	put(t, apart, b.certificate)
	if _, err := s.ReadPair(apart, key); err == nil {
		t.Error("the certificate was read with the key of another")
	}
	put(t, key, b.key)
	if got := read(apart, key).names(); !slices.Equal(got, []string{"b.test"}) {
		t.Errorf("the certificate has changed, and is for %q", got)
	}
}
