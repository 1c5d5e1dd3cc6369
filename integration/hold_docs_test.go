//go:build linux

package integration

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// The program and the command of docs/hold.md do what is said there.
func TestHoldDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/hold.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := shell.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("there are %d scripts", len(blocks))
	}
	root, key := t.TempDir(), holdKeyFile(t)
	if err := os.WriteFile(filepath.Join(root, "wait.cgi"), []byte(blocks[0][1]), 0o755); err != nil {
		t.Fatal(err)
	}
	be := startFcgiwrap(t, root, 1)
	n := newsroom{gate: watched(t, startSluice(t, append(be.args(), "--hold", key)...))}
	const clients = 5 // of one worker
	answers := make(chan string, clients)
	for range clients {
		go func() {
			resp, err := http.Get(n.gate.url + "/wait.cgi")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	n.wantHeld(t, clients)
	publish := strings.NewReplacer("http://127.0.0.1:9180", n.gate.status, "/etc/sluice/hold.key", key).Replace(blocks[1][1])
	need(t, "curl")
	if out := run(t, exec.Command("sh", "-c", publish)); out != "Published\n" {
		t.Errorf("%q", out)
	}
	for range clients {
		if got := <-answers; got != "it has happened\n" {
			t.Errorf("%q", got)
		}
	}
}
