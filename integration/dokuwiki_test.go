//go:build linux

package integration

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	wikiUser     = "editor"
	wikiPassword = "correct horse"
)

func TestDokuWikiOnPHPFPM(t *testing.T) {
	root, lib := dokuwiki(t)
	be := startFPM(t, fpmOptions{root: root, workers: 4})
	useDokuWiki(t, startSluice(t, append(be.args(), "--follow", lib)...).url)
}

// The command of the README: the gate starts php-cgi itself.
func TestDokuWikiOnSpawnedPHPCGI(t *testing.T) {
	root, lib := dokuwiki(t)
	gate := startSluiceCommand(t, phpCGI(t, 4), "--workers", "4", "--preset", "php", "--root", root, "--follow", lib)
	useDokuWiki(t, gate.url)
}

// A link that leads out of the root leads nowhere unless it may be followed.
func TestDokuWikiLinkNotFollowed(t *testing.T) {
	root, _ := dokuwiki(t)
	be := startFPM(t, fpmOptions{root: root, workers: 1})
	s := newSite(t, startSluice(t, be.args()...).url)
	if resp, body := s.do(t, s.request(t, http.MethodGet, wikiLogo, nil)); resp.StatusCode < 400 {
		t.Errorf("%s: %s, %q", wikiLogo, resp.Status, head(body))
	}
}

// wikiLogo lies behind one of the links out of the root.
const wikiLogo = "/lib/tpl/dokuwiki/images/logo.png"

// dokuwiki makes a DokuWiki: Debian's files in Debian's layout, where plugins
// and templates are links from the root into another directory, lib; one user who
// may do everything; and nothing shared with what is installed.
func dokuwiki(t testing.TB) (root, lib string) {
	t.Helper()
	doku := filepath.Dir(need(t, "/usr/share/dokuwiki/doku.php"))
	root, lib = filepath.Join(t.TempDir(), "wiki"), t.TempDir()
	run(t, exec.Command("cp", "-rL", doku, root))
	for _, name := range []string{"plugins", "tpl"} {
		inside, outside := filepath.Join(root, "lib", name), filepath.Join(lib, name)
		if err := os.Rename(inside, outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, inside); err != nil {
			t.Fatal(err)
		}
	}
	// Debian's preload.php points at /etc and /var/lib; without it DokuWiki
	// looks below its own root.
	if err := os.Remove(filepath.Join(root, "inc/preload.php")); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(root, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"acronyms.conf", "dokuwiki.php", "entities.conf", "interwiki.conf", "license.php", "manifest.json",
		"mediameta.php", "mime.conf", "plugins.php", "plugins.required.php", "scheme.conf", "smileys.conf", "wordblock.conf",
	} {
		run(t, exec.Command("cp", "-L", filepath.Join("/etc/dokuwiki", name), conf))
	}
	for _, dir := range []string{
		"attic", "cache", "index", "locks", "log", "media", "media_attic", "media_meta", "meta", "pages", "tmp",
	} {
		if err := os.MkdirAll(filepath.Join(root, "data", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(conf, "local.php"), `<?php
$conf['title'] = 'A wiki behind the gate';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['savedir'] = '%s/data';
`, root)
	write(t, filepath.Join(conf, "acl.auth.php"), "# <?php exit()?>\n* @ALL 1\n* @user 16\n")
	write(t, filepath.Join(conf, "users.auth.php"), "# <?php exit()?>\n%s:%x:An Editor:editor@example.org:admin,user\n",
		wikiUser, md5.Sum([]byte(wikiPassword)))
	return root, lib
}

// useDokuWiki does what a person does: log in, edit a page, upload a file.
func useDokuWiki(t *testing.T, base string) {
	t.Helper()
	s := newSite(t, base)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.client.Jar = jar
	s.client.CheckRedirect = nil

	if page := s.get(t, "/doku.php?id=start"); !strings.Contains(page, "A wiki behind the gate") {
		t.Fatalf("the start page lacks the title:\n%s", head(page))
	}
	wikiStatic(t, s)

	form := s.get(t, "/doku.php?id=start&do=login")
	page := s.form(t, "/doku.php?id=start", url.Values{
		"sectok": {hidden(t, form, "sectok")},
		"do":     {"login"}, "id": {"start"}, "u": {wikiUser}, "p": {wikiPassword},
	})
	if !strings.Contains(page, "An Editor") || !strings.Contains(page, "do=logout") {
		t.Fatalf("not logged in:\n%s", page)
	}

	const text = "====== Größe ======\n\nA sentence that only this test writes & <b>.\n"
	form = s.get(t, "/doku.php?id=notes:gate&do=edit")
	values := url.Values{"wikitext": {text}, "summary": {"test"}, "id": {"notes:gate"}, "do[save]": {"Save"}}
	for _, name := range []string{"sectok", "rev", "date", "prefix", "suffix", "changecheck"} {
		values.Set(name, hidden(t, form, name))
	}
	s.form(t, "/doku.php?id=notes:gate", values)
	page = s.get(t, "/doku.php?id=notes:gate")
	if !strings.Contains(page, "A sentence that only this test writes &amp; &lt;b&gt;.") || !strings.Contains(page, ">Größe</h1>") {
		t.Fatalf("the edit is not on the page:\n%s", page)
	}
	if got := s.get(t, "/doku.php?id=notes:gate&do=export_raw"); got != text {
		t.Errorf("the page's text is %q, want %q", got, text)
	}

	wikiMedia(t, s)
}

// wikiStatic loads what no PHP makes, and what only PHP makes: the style sheet.
func wikiStatic(t testing.TB, s site) {
	t.Helper()
	resp, body := s.do(t, s.request(t, http.MethodGet, wikiLogo, nil))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/png" || !strings.HasPrefix(body, "\x89PNG") {
		t.Errorf("logo.png: %s %q, %q", resp.Status, resp.Header.Get("Content-Type"), head(body))
	}
	if css := s.get(t, "/lib/exe/css.php?t=dokuwiki"); !strings.Contains(css, ".dokuwiki") {
		t.Errorf("css.php: %s", head(css))
	}
}

// wikiMedia uploads 3 MB through the media manager and downloads it again.
func wikiMedia(t testing.TB, s site) {
	t.Helper()
	data := random(3_000_000)
	form := s.get(t, "/lib/exe/mediamanager.php?ns=notes")
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, kv := range [][2]string{{"sectok", hidden(t, form, "sectok")}, {"ns", "notes"}, {"mediaid", "random.zip"}} {
		if err := m.WriteField(kv[0], kv[1]); err != nil {
			t.Fatal(err)
		}
	}
	file, err := m.CreateFormFile("upload", "random.zip")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.request(t, http.MethodPost, "/lib/exe/mediamanager.php", io.Reader(&body))
	r.Header.Set("Content-Type", m.FormDataContentType())
	if resp, page := s.do(t, r); resp.StatusCode != http.StatusOK || !strings.Contains(page, "random.zip") {
		t.Fatalf("upload: %s\n%s", resp.Status, page)
	}
	if got := s.get(t, "/lib/exe/fetch.php?media=notes:random.zip"); got != string(data) {
		t.Errorf("the file came back as %d bytes, not the %d uploaded", len(got), len(data))
	}
}

// form posts a form, follows redirects and returns the page.
func (s site) form(t testing.TB, route string, values url.Values) string {
	t.Helper()
	r := s.request(t, http.MethodPost, route, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, body := s.do(t, r)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s\n%s", route, resp.Status, head(body))
	}
	return body
}

// hidden returns the value of a form's hidden field.
func hidden(t testing.TB, page, name string) string {
	t.Helper()
	re := regexp.MustCompile(fmt.Sprintf(`<input type="hidden" name=%q value="([^"]*)"`, name))
	m := re.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no hidden field %q in\n%s", name, page)
	}
	return m[1]
}
