package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
)

// put writes a file, and its directory if necessary.
func put(t testing.TB, file string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// putCertificate writes a certificate for a name, with its key.
func putCertificate(t testing.TB, file, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, file, append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...))
}

// hundredSites is a file with 100 sites in front of 10 applications, as users have them.
func hundredSites(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("[server]\nlisten = [\":80\", \"https://:443\"]\n")
	for i := range 10 {
		fmt.Fprintf(&b, "[[application]]\nname = \"a%d\"\nbackends = [\"unix:/nowhere/a%d.sock\"]\nworkers = 16\n", i, i)
		if i%2 == 0 {
			b.WriteString("preset = \"php\"\n")
		}
	}
	for i := range 100 {
		at, name := filepath.Join(dir, fmt.Sprint(i)), fmt.Sprintf("s%d.example.org", i)
		put(t, at+"/root/index.php", nil)
		put(t, at+"/users", []byte("jane:{SHA}NMfTLf4kql4x98PMVl16orqGin0=\n"))
		putCertificate(t, at+"/site.pem", name)
		fmt.Fprintf(&b, "[[site]]\napplication = \"a%d\"\nhosts = [%q, \"www.%s\"]\ntls.certificate = [\"%s/site.pem\"]\n", i%10, name, name, at)
		if i%2 == 0 {
			fmt.Fprintf(&b, "root = \"%s/root\"\nhide = [\"/data\", \"/conf\"]\nstatic_types = [\"zip\"]\nredirect = [\"/old /new 301\"]\nrewrite = [\"/wiki/* /index.php?title=*\"]\n", at)
		}
		if i%4 == 0 {
			fmt.Fprintf(&b, "auth.file = \"%s/users\"\nauth.paths = [\"/admin\"]\nlong_poll = [\"/poll/*\"]\n", at)
		}
	}
	return b.String()
}

// handlers are those of the sites, by the first host.
func (s *server) handlers() map[string]*bridge.Handler {
	of := make(map[string]*bridge.Handler)
	for _, site := range s.front.current.Load().sites {
		of[site.setting.Hosts[0]] = site.bridge
	}
	return of
}

// A reload makes anew what has changed, and nothing else.
func TestReloadKeepsSites(t *testing.T) {
	dir := t.TempDir()
	text := hundredSites(t, dir)
	s, path := fileServer(t, text)
	for name, change := range map[string]struct {
		text  string
		sites int // that are made anew
	}{
		"nothing":               {text, 0},
		"the slow log":          {strings.Replace(text, "[server]\n", "[server]\nslow_log = \"3s\"\n", 1), 0},
		"an application":        {strings.Replace(text, "workers = 16", "workers = 17", 1), 0},
		"an instance":           {strings.Replace(text, "a3.sock\"]", "a3.sock\", \"unix:/nowhere/b3.sock\"]", 1), 0},
		"another application":   {strings.Replace(text, "a1.sock\"]\n", "a1.sock\"]\nlanes = \"off\"\n", 1), 10},
		"a site":                {strings.Replace(text, "hide = [\"/data\"", "hide = [\"/inc\"", 1), 1},
		"the host of a site":    {strings.Replace(text, "www.s7.", "w7.", 1), 1},
		"the order of sites":    {strings.Replace(text, "[[site]]", "[[site]]\napplication = \"a1\"\nhosts = [\"new\"]\n[[site]]", 1), 1},
		"a site's application":  {strings.Replace(text, "application = \"a5\"", "application = \"a7\"", 1), 1},
		"a site's certificates": {strings.Replace(text, "tls.certificate = [\""+dir+"/1/", "tls.certificate = [\""+dir+"/2/", 1), 1},
	} {
		put(t, path, []byte(text))
		if err := s.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		handlers := s.handlers()
		put(t, path, []byte(change.text))
		if err := s.reload(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		anew := 0
		for host, h := range s.handlers() {
			if handlers[host] != h {
				anew++
			}
		}
		if anew != change.sites || s.front.current.Load().changed() != anew {
			t.Errorf("%s: %d sites were made anew, want %d", name, anew, change.sites)
		}
	}
	// What a file leads to may change though its text does not.
	if err := os.RemoveAll(dir + "/8/root"); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "root: ") || !strings.Contains(err.Error(), "/8/root") {
		t.Errorf("without the root of a site that has not changed: %v", err)
	}
}

// What a reload leaves for the collector of garbage delays requests.
func TestReloadAllocates(t *testing.T) {
	s, _ := fileServer(t, hundredSites(t, t.TempDir()))
	least := uint64(math.MaxUint64) // what else runs in this process allocates, too
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := s.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if kib := least >> 10; kib > reloadAllocates {
		t.Errorf("a reload of 100 sites that have not changed allocates %d KiB, want %d at most", kib, reloadAllocates)
	}
}
