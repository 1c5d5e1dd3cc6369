//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The slow log of a real gate says what a request has waited for, and the access log is one that
// programs for Apache's read, whatever clients send.
func TestLogs(t *testing.T) {
	root, access := t.TempDir(), filepath.Join(t.TempDir(), "access.log")
	for name, text := range map[string]string{
		"slow.php": "<?php usleep(700000); echo 'hello';", "drip.php": "<?php echo str_repeat('a', 20000); flush(); usleep(700000); echo 'b';", "index.php": "<?php echo 'hello';",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const slow = 500 * time.Millisecond
	gate := startSluiceCommand(t, exec.Command(need(t, "php-cgi")), "--preset", "php", "--root", root, "--workers", "4",
		"--slow-log", slow.String(), "--access-log", access, "--access-log-format", "combined")
	s := newSite(t, gate.url)
	indexWasSlow := 0 // on a machine that stood still
	timed := func(get func()) {
		begun := time.Now()
		if get(); time.Since(begun) >= slow {
			indexWasSlow++
		}
	}
	timed(func() { s.get(t, "/index.php") })
	for _, path := range []string{"/slow.php?secret=1", "/drip.php"} {
		s.get(t, path)
	}
	const hostile = "\" 200 1 \"-\" \"-\"\t\x1b[2J\\\xff"
	c, err := net.Dial("tcp", strings.TrimPrefix(gate.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	timed(func() {
		fmt.Fprintf(c, "GET /index.php?\"x\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\nReferer: %[1]s\r\nConnection: close\r\n\r\n", strings.ReplaceAll(hostile, "\x1b", ""))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatal(err)
		}
	})
	line := regexp.MustCompile(`^127\.0\.0\.1 - - \[[^\]]+\] "(?:[^"\\]|\\.)*" \d{3} (?:\d+|-) "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"$`)
	eventually(t, "four lines of the access log", func() error {
		text, err := os.ReadFile(access)
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if err != nil || len(lines) != 4 {
			return fmt.Errorf("%v: %q", err, text)
		}
		for _, l := range lines {
			if !line.MatchString(l) {
				t.Fatalf("%q", l)
			}
		}
		return nil
	})
	about := func(log, path string) int { return strings.Count(log, `msg="slow request" method=GET path=`+path+" ") }
	eventually(t, "a line about each slow request", func() error {
		if log := gate.output.String(); about(log, "/slow.php") == 0 || about(log, "/drip.php") == 0 {
			return errors.New(log)
		}
		return nil
	})
	log := gate.output.String()
	for path, what := range map[string]string{"/slow.php": "the first byte", "/drip.php": "the rest of the answer"} {
		if !regexp.MustCompile(`level=WARN msg="slow request" method=GET path=` + path + ` status=200 .* waited_for="` + what + `" .*advice=`).MatchString(log) {
			t.Errorf("no line for %s in\n%s", path, log)
		}
	}
	if n := about(log, "/index.php"); about(log, "/slow.php") != 1 || about(log, "/drip.php") != 1 || n > indexWasSlow || strings.Count(log, "slow request") != 2+n || strings.Contains(log, "secret") {
		t.Error(log)
	}
}
