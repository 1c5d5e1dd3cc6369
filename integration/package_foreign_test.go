//go:build linux && (amd64 || arm64)

package integration

import (
	"bytes"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// foreign is the other architecture that there are packages for, and what runs its programs here.
var foreign = map[string]struct{ arch, emulator, rpm string }{
	"amd64": {"arm64", "qemu-aarch64-static", "aarch64"},
	"arm64": {"amd64", "qemu-x86_64-static", "x86_64"},
}[runtime.GOARCH]

// The packages for another processor have a program for it: it starts, reads the file that is beside it, and
// serves.
func TestPackageForeign(t *testing.T) {
	emulate, unpack := need(t, foreign.emulator), need(t, "rpm2archive")
	binary := filepath.Join(t.TempDir(), "sluice") // as make cross builds it, so that its parts are there already
	output(t, []string{"GOOS=linux", "GOARCH=" + foreign.arch, "CGO_ENABLED=0"}, "go", "build", "-o", binary, "../cmd/sluice")
	dir := t.TempDir()
	makePackages(t, dir, foreign.arch, "VERSION=1.2.3", "BINARY="+binary)
	deb, rpm := packagesIn(t, dir)
	if got := output(t, nil, "dpkg-deb", "--field", deb, "Architecture"); got != foreign.arch+"\n" {
		t.Errorf("the .deb is for %s", got)
	}
	if got := output(t, nil, need(t, "rpm"), "--query", "--queryformat=%{ARCH}", "--package", rpm); got != foreign.rpm {
		t.Errorf("the .rpm is for %s", got)
	}
	ofDeb, ofRPM := t.TempDir(), t.TempDir()
	output(t, nil, "dpkg-deb", "--extract", deb, ofDeb)
	output(t, nil, "sh", "-c", `"$1" - <"$2" | tar --extract --gzip --directory "$3"`, "sh", unpack, rpm, ofRPM)
	output(t, nil, "diff", "--recursive", filepath.Join(ofDeb, "usr"), filepath.Join(ofRPM, "usr"))

	program := filepath.Join(ofRPM, "usr/bin/sluice")
	if text := output(t, nil, emulate, program, "version"); !strings.Contains(text, "linux/"+foreign.arch) {
		t.Errorf("the version is %q", text)
	}
	if text := output(t, nil, emulate, program, "config", "check", filepath.Join(ofRPM, "etc/sluice/sluice.toml")); !strings.Contains(text, "in order") {
		t.Errorf("the file in the package: %s", text)
	}

	// A command would not do: the program executes itself to start one, and this machine cannot execute it.
	be := startPHPCGI(t, testdata(t, ""), 2)
	gate := runGate(t, t.TempDir(), append([]string{
		emulate, program, "serve", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--access-log", "off",
	}, be.args()...))
	s := newSite(t, gate.url+be.prefix)
	data := bytes.Repeat([]byte("x"), 1<<20)
	wantBody(t, s.post(t, "/body", data), data)
	gate.signal(t, syscall.SIGTERM)
	select {
	case <-gate.ended:
		if gate.err != nil {
			t.Errorf("it ends with %v\n%s", gate.err, gate.output)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}
