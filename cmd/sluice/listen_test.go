package main

import (
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestSocketMode listens on unix sockets with permissions of all kinds, whatever the umask
// is.
func TestSocketMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, tt := range []struct {
		args []string
		want fs.FileMode
	}{
		{nil, 0o666},
		{[]string{"--listen-mode", "0660"}, 0o660},
		{[]string{"--listen-mode", "600"}, 0o600},
		{[]string{"--listen-owner", me.Username, "--listen-group", group.Name}, 0o666},
		{[]string{"--listen-owner", me.Uid, "--listen-group", me.Gid, "--listen-mode", "0620"}, 0o620},
	} {
		path := filepath.Join(dir, strconv.Itoa(i))
		opened, err := noSockets(slog.DiscardHandler).prepare(flagSetup(t, append(tt.args, "--status", "off", "--listen", "unix:"+path)...))
		if err != nil {
			t.Fatal(err)
		}
		defer opened.cancel()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != tt.want {
			t.Errorf("%q: mode %04o, want %04o", tt.args, got, tt.want)
		}
		if stat := info.Sys().(*syscall.Stat_t); strconv.Itoa(int(stat.Uid)) != me.Uid || strconv.Itoa(int(stat.Gid)) != me.Gid {
			t.Errorf("%q: owner %d:%d", tt.args, stat.Uid, stat.Gid)
		}
	}
	if side := flagSetup(t).statusEndpoint(); side.mode != 0o660 {
		t.Errorf("the status has mode %v by default", side.mode)
	}
	if left := syscall.Umask(0o077); left != 0o077 {
		t.Errorf("the umask is %03o afterwards", left)
	}
}

// TestNextAddress is what is proposed to who cannot have an address.
func TestNextAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9180": " (--status 127.0.0.1:9181)", "[::1]:9180": " (--status [::1]:9181)", ":9180": " (--status :9181)",
		"127.0.0.1:65535": "", "127.0.0.1:http": "",
	} {
		if got := (&endpoint{key: "status", addr: addr, nameOf: flagOfKey}).nextPort(); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

// TestTwoOnOneStatus: the second is told both ways out.
func TestTwoOnOneStatus(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = (&endpoint{key: "status", addr: l.Addr().String(), nameOf: flagOfKey}).listen()
	if err == nil || !strings.Contains(err.Error(), "--status 127.0.0.1:") || !strings.Contains(err.Error(), "--status off") {
		t.Errorf("the error is %v", err)
	}
}
