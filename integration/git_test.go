//go:build linux

package integration

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The content and the name of the file in the little repository.
const (
	gitFile    = "docs/größe.txt"
	gitContent = "A line that only this repository has.\n"
)

func TestCgitOnFcgiwrap(t *testing.T) {
	root := filepath.Dir(need(t, "/usr/lib/cgit/cgit.cgi"))
	repository := littleRepository(t)
	config := filepath.Join(t.TempDir(), "cgitrc")
	write(t, config, "snapshots=tar.gz\nvirtual-root=/cgit.cgi/\nrepo.url=little\nrepo.path=%s\nrepo.desc=a little one\n", repository)
	be := startFcgiwrap(t, root, 4)
	be.env["CGIT_CONFIG"] = config
	s := newSite(t, startSluice(t, be.args()...).url+"/cgit.cgi")

	wantContains(t, s.get(t, "/"), "a little one")
	wantContains(t, s.get(t, "/little/"), "The first &lt;commit&gt;")
	wantContains(t, s.get(t, "/little/tree/docs"), "größe.txt")
	if got := s.get(t, "/little/plain/docs/gr%C3%B6%C3%9Fe.txt"); got != gitContent {
		t.Errorf("plain file: %q", got)
	}
	snapshot := s.get(t, "/little/snapshot/little-main.tar.gz")
	if got := fileInTar(t, strings.NewReader(snapshot), "little-main/"+gitFile); got != gitContent {
		t.Errorf("file in the snapshot: %q", got)
	}
}

// gitweb ends its process after each error page, and after 100 requests: the next one is
// there before anyone notices, however many error pages there are, and nobody is alarmed.
func TestGitwebOnPerlFCGI(t *testing.T) {
	repository := littleRepository(t)
	app, be := gitweb(t, filepath.Dir(repository))
	gate := startSluiceCommand(t, app, be.args()...)
	s := newSite(t, gate.url)

	wantContains(t, s.get(t, "/"), "little.git")
	wantContains(t, s.get(t, "/?p=little.git;a=summary"), "The first &lt;commit&gt;")
	if got := s.get(t, "/?p=little.git;a=blob_plain;f=docs/gr%C3%B6%C3%9Fe.txt;hb=HEAD"); got != gitContent {
		t.Errorf("plain file: %q", got)
	}

	for range 10 {
		resp, page := s.do(t, s.request(t, http.MethodGet, "/?p=none.git;a=summary", nil))
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(page, "No such project") {
			t.Errorf("an unknown project: %s\n%s", resp.Status, page)
		}
		asked := time.Now()
		wantContains(t, s.get(t, "/?p=little.git;a=summary"), "The first &lt;commit&gt;")
		if d := time.Since(asked); d > 2*time.Second { // Perl needs 0.1 s to start
			t.Errorf("the page after an error page took %v", d)
		}
	}
	if log := gate.output.String(); strings.Contains(log, "level=ERROR") || strings.Count(log, "has ended by itself, without an error") != 1 {
		t.Errorf("the log says\n%s", log)
	}
}

// littleRepository makes a bare repository with one commit.
func littleRepository(t testing.TB) string {
	t.Helper()
	git := need(t, "git")
	work := filepath.Join(t.TempDir(), "work")
	bare := filepath.Join(t.TempDir(), "little.git")
	in := func(dir string, args ...string) {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = append(
			os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org",
		)
		run(t, cmd)
	}
	write(t, filepath.Join(work, gitFile), "%s", gitContent)
	in(work, "init", "--quiet", "--initial-branch=main")
	in(work, "add", ".")
	in(work, "commit", "--quiet", "--message=The first <commit>")
	in("", "clone", "--quiet", "--bare", work, bare)
	return bare
}

func wantContains(t testing.TB, page, text string) {
	t.Helper()
	if !strings.Contains(page, text) {
		t.Errorf("no %q in\n%s", text, page)
	}
}

// fileInTar returns the content of a file in a .tar.gz.
func fileInTar(t testing.TB, r io.Reader, name string) string {
	t.Helper()
	zr, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			t.Fatalf("no %s in the archive", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			data, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
	}
}
