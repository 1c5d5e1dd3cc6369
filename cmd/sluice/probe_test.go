package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/probe"
)

// TestProbeUnusable runs command lines of probe that cannot work.
func TestProbeUnusable(t *testing.T) {
	absent := "unix:" + filepath.Join(t.TempDir(), "absent")
	addr := "127.0.0.1:9000"
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "name the one application to probe"},
		{[]string{addr, addr}, 2, "name the one application to probe"},
		{[]string{"/run/app.sock"}, 2, "want unix:/path or host:port"},
		{[]string{"unix:run/app.sock"}, 2, "must be absolute"},
		{[]string{"scgi://127.0.0.1:4000"}, 2, `address "scgi://127.0.0.1:4000": sluice probe measures FastCGI only, not scgi`},
		{[]string{addr, "--max", "0"}, 2, "--max 0: want at least 1"},
		{[]string{addr, "--max", "all"}, 2, `invalid argument "all" for "--max"`},
		{[]string{addr, "--timeout", "0s"}, 2, "must be more than 0"},
		{[]string{addr, "--workers", "0"}, 2, "--workers 0: want at least 1"},
		{[]string{addr, "--keep-alive", "yes"}, 2, `--keep-alive "yes": want auto, on or off`},
		{[]string{addr, "--multiplex", "yes"}, 2, `--multiplex "yes": want auto, on or off`},
		{[]string{addr, "--path", "index"}, 2, `must begin with "/"`},
		{[]string{addr, "--script", "index.php"}, 2, "must be an absolute path"},
		{[]string{absent}, 1, "no such socket (is the application running, and is the path right?)"},
	} {
		var stderr bytes.Buffer
		status := run(append([]string{"probe"}, c.args...), &stderr)
		text := stderr.String()
		if status != c.status || !strings.HasPrefix(text, "sluice: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, c.want) {
			t.Errorf("sluice probe %s: exit %d, %q, want %d and one line with %q", strings.Join(c.args, " "), status, text, c.status, c.want)
		}
	}
}

// goApplication is a FastCGI application of net/http/fcgi, until the test ends.
func goApplication(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fcgi.Serve(l, http.NotFoundHandler())
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return "unix:" + l.Addr().String()
}

// runProbe returns what probe prints.
func runProbe(t *testing.T, args ...string) string {
	t.Helper()
	cmd := probeCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestProbePrints(t *testing.T) {
	addr := goApplication(t)
	got := runProbe(t, addr, "--max", "4", "--workers", "9", "--multiplex", "off")
	for _, want := range []string{
		"address             " + addr + "\n",
		"first answer        status 404, text/plain; charset=utf-8,",
		"\nFCGI_MPXS_CONNS     1\n",
		"\ncapacity            no limit seen up to 4 connections\n",
		"\n\nwarning: --workers 9 is more than was tried: no limit was seen up to 4 connections\n",
		"\n\nwarning: --multiplex off: this backend multiplexes",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if want := "\n\nsluice serve --backend " + addr + " --workers 4\n"; !strings.HasSuffix(got, want) {
		t.Errorf("it ends\n%s\nwant %s", got, want)
	}
}

func TestProbePrintsJSON(t *testing.T) {
	addr := goApplication(t)
	var got struct {
		Address  string
		Capacity struct {
			Known bool
			Value struct {
				Connections int
				Full        string
			}
		}
		Advice  struct{ Warnings []string }
		Command string
	}
	if err := json.Unmarshal([]byte(runProbe(t, addr, "--max", "3", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Capacity
	if got.Address != addr || !c.Known || c.Value.Connections != 3 || c.Value.Full != "not seen" ||
		got.Advice.Warnings == nil || len(got.Advice.Warnings) > 0 || !strings.HasPrefix(got.Command, "sluice serve ") {
		t.Errorf("%+v", got)
	}
}

func TestProbeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := probeCommand()
	cmd.SetArgs([]string{goApplication(t)})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(ctx)
	var failed *runError
	if !errors.As(err, &failed) || err.Error() != "probe: interrupted" {
		t.Errorf("%v", err)
	}
}

// What is printed to be pasted is a command line that serve takes.
func TestServeLine(t *testing.T) {
	for _, c := range []struct {
		cfg    probe.Config
		advice probe.Advice
		want   string
	}{
		{
			probe.Config{Address: "unix:/run/trac.sock"},
			probe.Advice{Workers: 16, KeepAlive: "auto", Multiplex: "auto"},
			"--backend unix:/run/trac.sock --workers 16",
		},
		{
			probe.Config{Address: "[::1]:9000"},
			probe.Advice{KeepAlive: "auto", Multiplex: "off"},
			"--backend '[::1]:9000' --multiplex off",
		},
		{
			probe.Config{Address: "127.0.0.1:9000", Script: "/srv/the wiki/index.php"},
			probe.Advice{Workers: 1, KeepAlive: "auto", Multiplex: "auto", Preset: "php"},
			"--backend 127.0.0.1:9000 --preset php --root '/srv/the wiki' --workers 1",
		},
		{
			probe.Config{Address: "127.0.0.1:9000"},
			probe.Advice{Workers: 5, KeepAlive: "auto", Multiplex: "auto", Preset: "php"},
			"--backend 127.0.0.1:9000 --preset php --root DIRECTORY --workers 5",
		},
		{
			probe.Config{Address: "unix:/run/it's", Script: "/srv/cgi/cgit.cgi"},
			probe.Advice{KeepAlive: "auto", Multiplex: "auto", Preset: "cgi"},
			`--backend 'unix:/run/it'\''s' --preset cgi --root /srv/cgi`,
		},
	} {
		got, ok := strings.CutPrefix(serveLine(c.cfg, c.advice), "sluice serve ")
		if !ok || got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
		if err := serveCommand().ParseFlags(shellWords(t, got)); err != nil {
			t.Errorf("serve does not take it: %v", err)
		}
	}
}

// So is that for a program that serves one request at a time.
func TestSpawnLine(t *testing.T) {
	if line := spawnLine(probe.Advice{Workers: 1}); line != "" {
		t.Errorf("of one that is not: %s", line)
	}
	instances := fmt.Sprintf("--workers 1 --command-instances %d ", 2*runtime.NumCPU())
	for want, p := range map[string]probe.Process{
		"--command-dir '/srv/my git' --command-user nobody -- /usr/bin/perl gitweb.cgi --fastcgi": {
			Arguments: []string{"/usr/bin/perl", "gitweb.cgi", "--fastcgi"}, Dir: "/srv/my git", User: "nobody",
		},
		"-- mapserv": {Arguments: []string{"mapserv"}, Dir: "/"},
		"-- COMMAND": {},
	} {
		got, ok := strings.CutPrefix(spawnLine(probe.Advice{OneAtATime: &p}), "sluice serve ")
		if !ok || got != instances+want {
			t.Errorf("%s\nwant %s", got, instances+want)
		}
		if err := serveCommand().ParseFlags(shellWords(t, got)); err != nil {
			t.Errorf("serve does not take it: %v", err)
		}
	}
}

// shellWords are the words a shell makes of a command line.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}
