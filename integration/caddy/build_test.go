//go:build linux

package caddy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mainOfXcaddy is the program that xcaddy writes.
const mainOfXcaddy = `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// plug in Caddy modules here
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/sluice-proxy/sluice/caddyplugin"
)

func main() {
	caddycmd.Main()
}
`

// build makes a Caddy with the module as `xcaddy build --with` does: by xcaddy if it is
// there, else by the commands that it runs. Its module has nothing of ours but a replace.
func build(t *testing.T) (caddy string) {
	t.Helper()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	caddy = filepath.Join(dir, "caddy")
	version := strings.TrimSpace(run(t, checkout, "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2"))
	const module = "github.com/sluice-proxy/sluice/caddyplugin"
	if xcaddy, err := exec.LookPath("xcaddy"); err == nil {
		run(t, dir, xcaddy, "build", version, "--output", caddy, "--with", module,
			"--replace", "github.com/sluice-proxy/sluice="+checkout)
		return caddy
	}
	write(t, filepath.Join(dir, "main.go"), mainOfXcaddy)
	run(t, dir, "go", "mod", "init", "caddy")
	run(t, dir, "go", "mod", "edit", "-replace", "github.com/sluice-proxy/sluice="+checkout)
	run(t, dir, "go", "get", "github.com/caddyserver/caddy/v2@"+version) // and not the module, which is replaced
	run(t, dir, "go", "mod", "tidy", "-e")
	run(t, dir, "go", "build", "-o", caddy, "-ldflags", "-w -s")
	return caddy
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The module is all that a Caddy user needs.
func TestBuild(t *testing.T) {
	caddy := build(t)
	modules := strings.Fields(run(t, "", caddy, "list-modules", "--skip-standard"))
	for _, id := range []string{"admin.api.sluice", "http.handlers.sluice", "http.reverse_proxy.transport.sluice"} {
		if !slices.Contains(modules, id) {
			t.Errorf("%s is not among %v", id, modules)
		}
	}
	const example = "../../Caddyfile.example"
	if diff := run(t, "", caddy, "fmt", "--diff", example); strings.Contains(diff, "\n+") || strings.Contains(diff, "\n-") {
		t.Errorf("caddy fmt would change the example:\n%s", diff)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	uses := len(regexp.MustCompile(`(?m)^\s*(transport )?sluice .*\{$`).FindAll(text, -1))
	if adapted := run(t, "", caddy, "adapt", "--adapter", "caddyfile", "--config", example); strings.Count(adapted, `"sluice"`) != uses || uses < 9 {
		t.Errorf("the example, which uses the module %d times, becomes %s", uses, adapted)
	}
	// Its roots and sockets need not be there, as on the machine where it is written.
	if out := run(t, "", caddy, "validate", "--adapter", "caddyfile", "--config", example); !strings.Contains(out, "Valid configuration") {
		t.Errorf("caddy validate says %s", out)
	}
	if help := run(t, "", caddy, "help", "sluice"); !strings.Contains(help, "--backend") {
		t.Errorf("caddy help sluice says %s", help)
	}
}
