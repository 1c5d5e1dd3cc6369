package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// caddyVersion is the release that Sluice is compared with.
const caddyVersion = "v2.11.9"

// caddy is Caddy's own FastCGI transport, without Sluice's module.
var caddy = peer{
	label:   "caddy",
	about:   "`reverse_proxy` with its own `transport fastcgi`, no access log",
	binary:  buildCaddy,
	version: []string{"version"},
	config:  caddyConfig,
	argv: func(s site) []string {
		return []string{"run", "--config", s.config, "--adapter", "caddyfile"}
	},
}

func caddyConfig(s site) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level WARN
	}
}

http://%s {
	reverse_proxy unix/%s {
		transport fastcgi
	}
}
`, s.listen, s.backend)
}

const caddyMain = `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
`

// buildCaddy returns the binary from the user's cache directory, building it
// there if this version has not been built with this Go before. The build
// takes minutes, so it is not repeated.
func buildCaddy(ctx context.Context, dir string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	kept := filepath.Join(cache, "sluice-peers", "caddy-"+caddyVersion+"-"+runtime.Version())
	_, err = os.Stat(kept)
	if err == nil {
		return kept, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}

	progress("caddy: building %s, once; this takes some minutes", caddyVersion)
	module := filepath.Join(dir, "caddy-build")
	files := map[string]string{
		"go.mod":  "module caddy\n\ngo 1.26\n\nrequire github.com/caddyserver/caddy/v2 " + caddyVersion + "\n",
		"main.go": caddyMain,
	}
	if err := os.MkdirAll(module, 0o755); err != nil {
		return "", err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(module, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", err
	}
	// Built beside its final name and renamed, so that an interrupted build
	// leaves nothing that looks finished.
	part := fmt.Sprintf("%s.%d.part", kept, os.Getpid())
	defer os.Remove(part)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-ldflags=-s -w", "-o", part, ".")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build caddy %s: %w: %s", caddyVersion, err, oneLine(text))
	}
	return kept, os.Rename(part, kept)
}
