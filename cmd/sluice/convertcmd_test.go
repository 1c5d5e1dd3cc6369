package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// converting runs sluice convert, and returns its exit status and what it prints.
func converting(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	root := rootCommand()
	var out, log bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&log)
	root.SetArgs(append([]string{"convert"}, args...))
	exit = exitStatus(root.Execute(), &log)
	return exit, out.String(), log.String()
}

func TestConvert(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := put("nginx.conf", "server { listen 8080; location / { include fastcgi_params; fastcgi_pass unix:/run/app.sock; } }\n")
	exit, toml, stderr := converting(t, whole)
	if exit != 0 || stderr != "" || !strings.HasPrefix(toml, "# Made by \"sluice convert\" of "+whole+" (nginx).\n# app: set workers to") {
		t.Errorf("%d\n%s\n%s", exit, toml, stderr)
	}
	// What it prints can be served.
	var checked strings.Builder
	if err := checkFile(put("sluice.toml", toml), "", &checked); err != nil || !strings.Contains(checked.String(), "in order (1 application, 1 site)") {
		t.Errorf("%v %s\n%s", err, &checked, toml)
	}

	part := put("part.conf", "server {\n    listen 80;\n    add_header X y;\n    location / { proxy_pass http://127.0.0.1:8000; }\n}\n")
	exit, toml, stderr = converting(t, "--from", "nginx", part)
	left := part + ":3:5: add_header X y: have the application send it\n"
	if exit != 3 || stderr != left+"sluice: 1 directive not carried over, as said above and at the top of the output\n" || !strings.Contains(toml, "# Not carried over:\n#   "+left) {
		t.Errorf("%d\n%s\n%s", exit, toml, stderr)
	}

	broken := put("broken.conf", "server {\n")
	for want, args := range map[string][]string{
		broken + ":1:1: server: the } at its end is missing\n": {"--from", "nginx", broken},
		"sluice: stat " + dir + "/none: no such file":          {dir + "/none"},
	} {
		if exit, toml, stderr := converting(t, args...); exit != 1 || toml != "" || !strings.HasPrefix(stderr, want) {
			t.Errorf("%v: %d %q %q", args, exit, toml, stderr)
		}
	}
	for want, args := range map[string][]string{
		"name the one file to convert": {},
		"--from: is \"iis\", want":     {"--from", "iis", whole},
	} {
		if exit, toml, stderr := converting(t, args...); exit != 2 || toml != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %q %q", args, exit, toml, stderr)
		}
	}
}

// What the documented configurations of other servers become is in order, but for paths and users that are not on
// this machine, and once the terms of a certificate authority are agreed to where it says so.
func TestConvertedIsInOrder(t *testing.T) {
	files, err := filepath.Glob("internal/convert/testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range files {
		if filepath.Ext(path) == ".toml" || strings.Contains(path, "/fuzz/") {
			continue
		}
		_, toml, stderr := converting(t, path)
		if toml == "" {
			t.Errorf("%s: %s", path, stderr)
			continue
		}
		if _, after, asked := strings.Cut(stderr, "add below [server]: "); asked {
			if strings.Contains(toml, "\nacme") {
				t.Errorf("%s: terms are agreed to without being asked\n%s", path, toml)
			}
			yes, _, _ := strings.Cut(after, "\n")
			toml = strings.Replace(toml, "\n[server]\n", "\n[server]\n"+yes+"\n", 1)
		}
		file := filepath.Join(t.TempDir(), "sluice.toml")
		if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
			t.Fatal(err)
		}
		err := checkFile(file, "", new(strings.Builder))
		if err == nil {
			checked++
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.Contains(line, "no such file or directory") && !strings.Contains(line, "unknown user") && !strings.Contains(line, "not found") {
				t.Errorf("%s: %s\n%s", path, line, toml)
			}
		}
		checked++
	}
	if checked < 22 {
		t.Errorf("only %d files", checked)
	}
}
