//go:build linux

package integration

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is the matter beside the application - its authorizer, a certificate, the engine of the fleet - is
// said by the page, by the terminal and by the JSON, in the same words.
func TestPageAndTerminalSayTheSame(t *testing.T) {
	t.Parallel()
	engine := startRedis(t)
	dir := socketDir(t)
	certificate, authorizer := filepath.Join(dir, "tls.pem"), "unix:"+filepath.Join(dir, "authorizer.sock")
	authority := newAuthority(t)
	authority.issueAs(t, certificate, &x509.Certificate{
		SerialNumber: big.NewInt(7), DNSNames: []string{"wiki.test"}, NotAfter: time.Now().Add(3*24*time.Hour + time.Hour),
	})
	s := startSluice(t, "--listen", "https://127.0.0.1:0", "--tls-certificate", certificate, "--backend", startWeb(t), "--workers", "16",
		"--authorizer", authorizer, "--authorizer-path", "/private", "--fleet-engine", engine.url(), "--fleet-gates", "2")
	b := startBrowser(t)
	b.open(t, s.statusOf(t))
	b.awaitText(t, "#say-text", "The certificate for wiki.test expires in 3 days.")
	b.awaitText(t, "#certificates tbody", "wiki.test")
	b.awaitText(t, "#fleet", "This gate has leased 8 of 16 workers")
	b.awaitText(t, "#legend", "elsewhere8")
	b.awaitText(t, "#waiting", "connections")
	addr := strings.TrimSuffix(strings.TrimPrefix(s.statusOf(t), "http://"), "/")
	if out, exit := runStatus(t, addr); exit != 0 || !strings.Contains(out, "The certificate for wiki.test expires in 3 days.") || !strings.Contains(out, "leased 8/16  gates 1") {
		t.Errorf("nothing is broken: exit status %d: %s", exit, out)
	}

	private := authority.secureSite(t, s.secureAddress(t), "wiki.test", false)
	private.do(t, private.request(t, "GET", "/private/", nil))
	const away = "The authorizer cannot be connected to at "
	b.awaitText(t, "#say-text", away+authorizer)
	b.awaitText(t, "#also", "The certificate for wiki.test expires in 3 days.")
	b.awaitText(t, "#events tbody", "The authorizer cannot be connected to")
	b.picture(t, "page-in-front")
	out, exit := runStatus(t, "--once", addr)
	if lines := strings.Join(strings.Fields(out), " "); exit != 1 || !strings.Contains(lines, "degraded "+away) || !strings.Contains(lines, "expires in 3 days.") {
		t.Errorf("exit status %d: %s", exit, out)
	}
	if out, _ = runStatus(t, "--json", addr); !strings.Contains(out, away) {
		t.Errorf("the JSON does not say so: %s", out)
	}

	engine.kill(t)
	b.awaitText(t, "#matter", "The fleet's engine cannot be reached")
	b.mustNotComplain(t)
}

// In forced colours, as of Windows' high contrast, what tells workers apart stays: the cells, the bar of
// many, the keys of the charts, and the threads of the demonstration.
func TestForcedColours(t *testing.T) {
	t.Parallel()
	many := startSluice(t, "--backend", startWeb(t), "--workers", "600")
	few := startSluice(t, "--backend", startWeb(t), "--workers", "4")
	demo, _ := startDemo(t)
	b := startBrowser(t)
	for _, c := range []struct{ url, what string }{
		{many.statusOf(t), "#cells.bar i"}, {few.statusOf(t), "#cells.cells i"}, {few.statusOf(t), "ul.key i"}, {demo, "#gate .cell"},
	} {
		b.open(t, c.url)
		b.forceColours(t)
		eventually(t, c.what+" keeps its colours", func() error {
			kept := value[[]string](t, b, fmt.Sprintf(`Array.from(document.querySelectorAll(%q), (e) => getComputedStyle(e).forcedColorAdjust)`, c.what))
			if len(kept) == 0 || strings.Contains(strings.Join(kept, " "), "auto") {
				return fmt.Errorf("%q", kept)
			}
			return nil
		})
	}
}
