package registry

import (
	"bytes"
	"log/slog"
	"testing"
)

// What a logger writes goes to the latest user that is still there, with everything
// that was added to the logger on the way.
func TestLogFollowsUsers(t *testing.T) {
	var first, second, process bytes.Buffer
	plain := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	one := &User{Log: slog.NewTextHandler(&first, plain)}
	two := &User{Log: slog.NewTextHandler(&second, plain)}
	var to users
	to.add(one)
	log := slog.New(&logHandler{users: &to, process: func() slog.Handler { return slog.NewTextHandler(&process, plain) }})
	left := log.With("a", 1).WithGroup("g").With("b", 2)
	right := log.With("a", 1).With("c", 3)
	left.Info("1")
	to.add(two)
	left.Info("2", "d", 4)
	right.Info("3")
	to.remove(two)
	right.Info("4")
	to.add(two)
	to.remove(one)
	log.Debug("not written")
	log.Info("5")
	if want := "level=INFO msg=1 a=1 g.b=2\nlevel=INFO msg=4 a=1 c=3\n"; first.String() != want {
		t.Errorf("the first has\n%swant\n%s", &first, want)
	}
	if want := "level=INFO msg=2 a=1 g.b=2 g.d=4\nlevel=INFO msg=3 a=1 c=3\nlevel=INFO msg=5\n"; second.String() != want {
		t.Errorf("the second has\n%swant\n%s", &second, want)
	}
	to.remove(two)
	left.Info("6")
	to.add(new(User))
	log.Info("7")
	if want := "level=INFO msg=6 a=1 g.b=2\nlevel=INFO msg=7\n"; process.String() != want {
		t.Errorf("with no log of a user, the process has\n%swant\n%s", &process, want)
	}
}
