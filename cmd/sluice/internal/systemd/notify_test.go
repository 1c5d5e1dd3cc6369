package systemd

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestNotices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	n := NewNotifier(func(err error) { t.Error(err) })
	if value, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
		t.Errorf("NOTIFY_SOCKET is still %q", value)
	}
	for _, tt := range []struct {
		send func()
		want string
	}{
		{func() { n.Ready("Serving at :80\nREADY=0") }, `^READY=1\nSTATUS=Serving at :80 READY=0$`},
		{n.Reloading, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`},
		{func() { n.Stopping(90 * time.Second) }, `^STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=90000000$`},
	} {
		tt.send()
		text := make([]byte, 1000)
		size, err := l.Read(text)
		if err != nil || !regexp.MustCompile(tt.want).Match(text[:size]) {
			t.Errorf("%q, %v, want %s", text[:size], err, tt.want)
		}
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := NewNotifier(func(err error) { t.Error(err) })
	n.Ready("")
	n.Reloading()
	n.Stopping(0)

	failed := 0
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "absent"))
	NewNotifier(func(error) { failed++ }).Ready("")
	if failed != 1 {
		t.Errorf("%d failures were told, want 1", failed)
	}
}
