package cgi

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// releases is a directory with releases that have a file each, and a link to the first.
func releases(t *testing.T, names ...string) (current string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		writeText(t, filepath.Join(dir, "releases", name, "which"), name)
		writeText(t, filepath.Join(dir, "releases", name, "index.php"), name)
		writeText(t, filepath.Join(dir, "releases", name, "only-"+name+".php"), name)
	}
	current = filepath.Join(dir, "current")
	symlink(t, "releases/"+names[0], current)
	return current
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// switchTo switches a link as "ln -sfn" does: it is not there for a moment.
func switchTo(t *testing.T, current, release string) {
	t.Helper()
	if err := errors.Join(os.Remove(current), os.Symlink("releases/"+release, current)); err != nil {
		t.Fatal(err)
	}
}

// wait lets time pass, and what is to happen in it happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func readAll(t *testing.T, r *Root, name string) string {
	t.Helper()
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A link that is switched is followed within refreshAfter, and at once by who looks for what
// only the new release has.
func TestReleaseIsSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1", "2", "3")
		var changes []RootChange
		r, err := newRoot("root", current, nil, func(c RootChange) { changes = append(changes, c) })
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got := readAll(t, r, "which"); got != "1" {
			t.Errorf("release %s at first", got)
		}
		switchTo(t, current, "2")
		wait(refreshAfter)
		if got := readAll(t, r, "which"); got != "2" {
			t.Errorf("release %s, %v after the switch", got, refreshAfter)
		}
		switchTo(t, current, "3")
		wait(refreshAfterMiss)
		if got := readAll(t, r, "which"); got != "2" {
			t.Errorf("release %s: it was looked up although there was no need yet", got)
		}
		if _, err := r.Stat("only-3.php"); err != nil {
			t.Errorf("what only the new release has: %v", err)
		}
		if got := readAll(t, r, "which"); got != "3" {
			t.Errorf("release %s after a miss", got)
		}
		if _, err := r.Stat("only-1.php"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what only an old release has: %v", err)
		}
		if len(changes) != 2 || changes[1].Real != filepath.Join(filepath.Dir(current), "releases/3") || changes[1].Err != nil {
			t.Errorf("told of %+v", changes)
		}
	})
}

// Who has begun with a release goes on with it, when it is switched, and when it is
// removed. Then its directory is closed.
func TestReleaseInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1", "2")
		before := descriptors(t)
		r, err := OpenRoot(current, nil)
		if err != nil {
			t.Fatal(err)
		}
		old := r.acquire()
		for i := range 10 {
			switchTo(t, current, []string{"2", "1"}[i%2])
			wait(refreshAfter)
			if _, err := r.Stat("which"); err != nil {
				t.Fatal(err)
			}
		}
		if n := descriptors(t); n > before+2 {
			t.Errorf("%d descriptors are open, %d before: one is in use, one was", n, before)
		}
		switchTo(t, current, "2")
		wait(refreshAfter)
		if _, err := r.Stat("which"); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := old.open("which")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if text, err := io.ReadAll(f); err != nil || string(text) != "1" {
			t.Errorf("the old release has %q, %v", text, err)
		}
		if err := old.release(); err != nil {
			t.Error(err)
		}
		if n := descriptors(t); n > before+1 { // f
			t.Errorf("%d descriptors are open in the end, %d before", n, before)
		}
		if _, err := r.Stat("which"); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// A root that goes is kept for keepMissingFor, so that nobody meets the moment in which it is
// replaced. What it has is not there then, and is again when it is back.
func TestRootGoesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1", "2")
		var changes []string
		r, err := newRoot("root", current, nil, func(c RootChange) { changes = append(changes, fmt.Sprint(filepath.Base(c.Real), c.Err != nil)) })
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		away := current + ".away"
		if err := os.Rename(current, away); err != nil {
			t.Fatal(err)
		}
		for range 9 {
			wait(refreshAfter)
			if _, err := r.Stat("which"); err != nil {
				t.Fatalf("a moment after it went: %v", err)
			}
		}
		wait(2 * refreshAfter)
		for _, name := range []string{"which", "nothing"} {
			if _, err := r.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v after %v", name, err, keepMissingFor)
			}
		}
		if err := os.Rename(away, current); err != nil {
			t.Fatal(err)
		}
		wait(refreshAfterMiss)
		if _, err := r.Stat("which"); err != nil {
			t.Errorf("after it came back: %v", err)
		}
		if len(changes) != 2 || changes[0] != ".true" || changes[1] != "1false" {
			t.Errorf("told of %q", changes)
		}
	})
}

// What was removed while nobody asked is not there for the first who does.
func TestRootGoesUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1")
		r, err := OpenRoot(current, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Stat("which"); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(current); err != nil {
			t.Fatal(err)
		}
		wait(time.Hour)
		if _, err := r.Stat("which"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v, an hour after it was removed", err)
		}
	})
}

// A root need not be there when a Mapper is made: all is 404 until it is.
func TestRootComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := filepath.Join(t.TempDir(), "later")
		var changes []RootChange
		m := newMapper(t, Config{
			Preset: PresetPHP, Root: root, Follow: []string{root + "-too"}, Fallback: "/index.php",
			OnRoot: func(c RootChange) { changes = append(changes, c) },
		})
		if len(changes) != 2 || changes[0].Key != "root" || changes[1].Key != "follow" || changes[0].Err == nil {
			t.Errorf("told of %+v", changes)
		}
		if list := m.Unused(); len(list) != 0 {
			t.Errorf("%v have no effect", list)
		}
		for _, target := range []string{"/", "/index.php", "/page", "/x.css"} {
			wantRefused(t, m, get(t, target), 404)
		}
		writeFile(t, root, "index.php", 0o644)
		wait(refreshAfterMiss)
		wantVars(t, vars(t, m, get(t, "/page"), 0), map[string]string{"SCRIPT_FILENAME": root + "/index.php", "DOCUMENT_ROOT": root})
	})
}

// A directory to follow may be a link that is switched, too, and may go.
func TestFollowedDirectoryIsSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1", "2")
		root := t.TempDir()
		symlink(t, current, filepath.Join(root, "lib"))
		r, err := OpenRoot(root, []string{current})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, release := range []string{"1", "2", "1"} {
			switchTo(t, current, release)
			wait(refreshAfter)
			if got := readAll(t, r, "lib/which"); got != release {
				t.Errorf("release %s, want %s", got, release)
			}
		}
		if err := os.Remove(current); err != nil {
			t.Fatal(err)
		}
		for range 13 {
			wait(refreshAfter)
			_, err = r.Stat("lib/which")
		}
		if !errors.Is(err, ErrOutsideRoot) {
			t.Errorf("the link leads to nothing any more: %v", err)
		}
		if _, err := r.Stat("."); err != nil {
			t.Errorf("the root itself: %v", err)
		}
	})
}

// Without descriptors for the new release, the old one serves on.
func TestNoDescriptorForTheRelease(t *testing.T) {
	r := &Root{} // which was never seen
	if !r.keepsOpen(&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}) {
		t.Error("not kept")
	}
	if r.keepsOpen(&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}) {
		t.Error("kept although it is not there")
	}
}

// The application is told of the release that was looked at, unless it is not to be.
func TestReleaseInVariables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		current := releases(t, "1", "2")
		release := func(n string) string { return filepath.Join(filepath.Dir(current), "releases", n) }
		resolved := newMapper(t, Config{Preset: PresetPHP, Root: current})
		kept := newMapper(t, Config{Preset: PresetPHP, Root: current, KeepRootSymlink: true})
		elsewhere := newMapper(t, Config{Preset: PresetPHP, Root: current, AppRoot: "/app"})
		app := newMapper(t, Config{Root: current})
		for _, n := range []string{"1", "2"} {
			switchTo(t, current, n)
			wait(refreshAfter)
			for _, test := range []struct {
				m    *Mapper
				root string
			}{{resolved, release(n)}, {kept, current}, {elsewhere, "/app"}} {
				wantVars(t, vars(t, test.m, get(t, "/only-"+n+".php/info"), 0), map[string]string{
					"DOCUMENT_ROOT": test.root, "SCRIPT_FILENAME": test.root + "/only-" + n + ".php", "PATH_TRANSLATED": test.root + "/info",
				})
			}
			wantVars(t, vars(t, app, get(t, "/x"), 0), map[string]string{"DOCUMENT_ROOT": release(n), "SCRIPT_FILENAME": absent})
		}
	})
}

// While releases are switched, every request has all it asks for of one of them, and
// nothing outside of any.
func TestSwitchesUnderRequests(t *testing.T) {
	current := releases(t, "1", "2")
	dir := filepath.Dir(current)
	writeText(t, filepath.Join(dir, "secret"), "secret")
	symlink(t, "../../secret", filepath.Join(dir, "releases/2/leak.php"))
	writeText(t, filepath.Join(dir, "releases/1/leak.php"), "1")
	m := newMapper(t, Config{Preset: PresetPHP, Root: current, StaticTypes: []string{"txt"}})
	for _, n := range []string{"1", "2"} {
		writeText(t, filepath.Join(dir, "releases", n, "which.txt"), n)
	}
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 300 {
				wantOneRelease(t, m, dir)
			}
		})
	}
	go func() { clients.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			m.root.staleness.Store(due) // the next request looks
			switchTo(t, current, []string{"2", "1"}[i%2])
		}
	}
}

func wantOneRelease(t *testing.T, m *Mapper, dir string) {
	list, err := m.Vars(nil, get(t, "/leak.php"), &Client{}, 0)
	if err == nil {
		for _, v := range list {
			if v.Name == "SCRIPT_FILENAME" && v.Value != filepath.Join(dir, "releases/1/leak.php") {
				t.Errorf("SCRIPT_FILENAME is %q, which leads outside", v.Value)
			}
		}
	} else if refused, ok := errors.AsType[*RequestError](err); !ok || refused.Status != 403 {
		t.Errorf("%v", err)
	}
	f, err := m.OpenStatic(get(t, "/which.txt"))
	if err != nil || f == nil {
		t.Errorf("%v, %v", f, err)
		return
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "1" && string(text) != "2" {
		t.Errorf("%q, %v", text, err)
	}
}
