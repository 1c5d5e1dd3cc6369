//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// What an application writes is in the log, line by line, and says whose it is.
func TestOutput(t *testing.T) {
	log := &tail{}
	out := filepath.Join(socketDir(t), "said")
	p := startProcess(t, fmt.Sprintf(`echo to stdout; echo to stderr >&2; printf "%%05000d\n" 0; printf "no end"
		sh -c "echo from a child"; echo >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 60`, out), supervise.Config{Logger: textLog(log)})
	said(t, out)
	pid := p.pid()
	tags := fmt.Sprintf(" instance=%s pid=%d", p.addr(), pid)
	eventually(t, "the snapshot has the last line", func() error {
		if lines := p.instance().Lines; len(lines) != 4 || lines[0] != "to stdout" || lines[3] != "no endfrom a child" ||
			!strings.HasSuffix(lines[2], "[4600 bytes more]") {
			return fmt.Errorf("lines are %q", lines)
		}
		return nil
	})
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`msg="command output" command=sh line="to stdout"` + tags + "\n",
		`line="to stderr"` + tags + "\n",
		tags + " cut_bytes=904\n",
		`line="no endfrom a child"` + tags + "\n",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// Perl's FCGI replaces the environment by what comes with each request; PHP has both.
func TestVariables(t *testing.T) {
	t.Parallel()
	flags := []string{"--command-env", "OF_THE_COMMAND=one", "--env", "OF_THE_REQUEST=two"}
	perl := exec.Command(needPerl(t, "FCGI"), "-MFCGI", "-e",
		`my $r = FCGI::Request(); while ($r->Accept >= 0) { print "Content-Type: text/plain\r\n\r\n[$ENV{OF_THE_COMMAND}] [$ENV{OF_THE_REQUEST}]" }`)
	g := startProcesses(t, account{}, perl, append(flags, "--workers", "1")...)
	if got := g.app.get(t, "/"); got != "[] [two]" {
		t.Errorf("Perl has %s", got)
	}
	root := socketDir(t)
	write(t, filepath.Join(root, "index.php"), `<?php printf('[%%s] [%%s]', getenv('OF_THE_COMMAND'), getenv('OF_THE_REQUEST'));`)
	php := exec.Command(need(t, "php-cgi"))
	g = startProcesses(t, account{}, php, append(flags, "--preset", "php", "--root", root)...)
	if got := g.app.get(t, "/"); got != "[one] [two]" {
		t.Errorf("PHP has %s", got)
	}
}

// A command that runs as root although nobody has said so is told of, once.
func TestRootIsToldOf(t *testing.T) {
	eachAccount(t, func(t *testing.T, who account) {
		for _, flags := range [][]string{nil, {"--command-user", "root"}} {
			if os.Geteuid() != 0 || who.by != nil {
				flags = nil
			}
			want := 0
			if os.Geteuid() == 0 && who.by == nil && flags == nil {
				want = 1
			}
			g := startProcesses(t, who, troubled(t), flags...)
			g.app.untilServed(t)
			g.restart(t)
			if n := strings.Count(g.output.String(), "the command runs as root"); n != want {
				t.Errorf("%v: it is told of %d times, want %d", flags, n, want)
			}
		}
	})
}

// The status shows what the application's processes use, all of them.
func TestProcessesInStatus(t *testing.T) {
	app, be := spawned["php-cgi"](t)
	gate := startSluiceCommand(t, app, append(be.args(), "--command-open-files", "500")...)
	s := newSite(t, gate.url+be.prefix)
	s.untilServed(t)
	address := telling.FindStringSubmatch(gate.output.String())
	if address == nil {
		t.Fatalf("the log does not say where the status is:\n%s", gate.output)
	}
	status := newSite(t, "http://"+address[1])
	var shot struct {
		Gate      map[string]any     `json:"gate"`
		Processes supervise.Snapshot `json:"processes"`
	}
	// It is told of an answer when its client has it.
	eventually(t, "the application is known to serve", func() error {
		if err := json.Unmarshal([]byte(status.get(t, "/status.json")), &shot); err != nil {
			return err
		}
		if len(shot.Processes.Instances) != 1 || shot.Processes.Instances[0].State != "serving" {
			return errNotYet
		}
		if u := shot.Processes.Instances[0].Usage; u == nil || u.Processes < 3 {
			return errNotYet // PHP may serve before all its children are there
		}
		return nil
	})
	if resp, _ := status.do(t, status.request(t, http.MethodGet, "/healthz", nil)); resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", resp.Status)
	}
	p := shot.Processes
	if shot.Gate == nil || p.Command != app.Path || p.Breaker != "closed" || p.Budget.Left != 10 || p.CrashLoop.Active {
		t.Fatalf("the status is %+v", p)
	}
	in := p.Instances[0]
	if in.PID != gate.child(t) || in.State != "serving" || in.Answered == 0 || in.Restarts != 0 {
		t.Errorf("the instance is %+v", in)
	}
	u := in.Usage
	if u == nil || u.Processes != 3 || u.Threads < 3 || u.RSS < 1<<20 || u.PSS == 0 || u.PSS > u.RSS ||
		u.OpenFiles < 3 || u.OpenFiles > 500 || u.OpenFilesLimit != 500 || u.CPU < 0 {
		t.Errorf("it uses %+v, want three processes'", u)
	}
}
