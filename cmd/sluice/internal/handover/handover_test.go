//go:build linux

package handover

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nextDoes says what this program does as the next process.
const nextDoes = "HANDOVER_TEST_NEXT"

func TestMain(m *testing.M) {
	if does := os.Getenv(nextDoes); does != "" {
		os.Exit(next(does))
	}
	os.Exit(m.Run())
}

// next is the next process. Its status is 0 when it was let begin.
func next(does string) int {
	former, err := Inherit()
	if err != nil {
		return 3
	}
	former.Watch(func() {})
	if _, err := former.Ready(context.Background()); err != nil {
		return 4
	}
	switch does {
	case "hang":
		// Another thread may take the signal, and this one come back from the call before it is stopped.
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		for {
			time.Sleep(time.Minute)
		}
	case "fail":
		former.Fail(os.ErrPermission)
		return 5
	case "serve":
		_ = former.Serving()
		for {
			if _, _, err := former.Next(); err != nil {
				return 0
			}
		}
	}
	return 6
}

// started is a next process that is ready.
func started(t *testing.T, does string) *Successor {
	t.Helper()
	s, err := Start("/proc/self/exe", os.Args[:1], append(os.Environ(), nextDoes+"="+does), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Abort)
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// A process that was let begin, and hangs, is gone in time: the former one would wait for it forever, and
// hold everything that others wait for.
func TestServeHangs(t *testing.T) {
	t.Parallel()
	s := started(t, "hang")
	begun := time.Now()
	err := s.Serve(Held{"unix:/a": 1})
	if err == nil || !strings.Contains(err.Error(), "did not serve within") {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > serveTimeout+abortTimeout/2 {
		t.Errorf("it took %v", took)
	}
	if syscall.Kill(s.PID(), 0) == nil {
		t.Error("the process is there")
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	if err := started(t, "fail").Serve(nil); err == nil || err.Error() != os.ErrPermission.Error() {
		t.Errorf("%v", err)
	}
}

// Done lets the process go on.
func TestServe(t *testing.T) {
	t.Parallel()
	s := started(t, "serve")
	if err := s.Serve(nil); err != nil {
		t.Fatal(err)
	}
	s.Done()
	<-s.ended
	if s.exit != nil {
		t.Error(s.exit)
	}
}
