package tomlfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A file that changes while it is read is read again, and not taken if it does not come to rest.
func TestChangesWhileItIsRead(t *testing.T) {
	for changes, want := range map[int]string{0: "a", 1: "ab", 2: "abb", 3: ""} {
		path := filepath.Join(t.TempDir(), "sluice.toml")
		if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
		left := changes
		data, err := read(path, func(path string) ([]byte, error) {
			data, err := os.ReadFile(path)
			if left--; left >= 0 {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					return nil, err
				}
				defer f.Close()
				if _, err := f.WriteString("b"); err != nil {
					return nil, err
				}
			}
			return data, err
		})
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), path+": changes while it is read")):
			t.Errorf("%d changes: %q, %v", changes, data, err)
		case want != "" && (err != nil || string(data) != want):
			t.Errorf("%d changes: %q, %v, want %q", changes, data, err, want)
		}
	}
}

// What is no file to read says so.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxSize+1); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                           "is a directory: name the file in it",
		filepath.Join(dir, "absent"):  "no such file or directory (\"sluice config example\"",
		filepath.Join(large, "below"): "not a directory",
		os.DevNull:                    "is no regular file",
		large:                         "which is no configuration",
	} {
		if _, err := Load(path, nil); err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// A file may leave out the name of its only application, and the brackets of a list of one. What is shown of it has
// both, and is the same configuration.
func TestShort(t *testing.T) {
	f, err := Parse("s.toml", []byte("[server]\nlisten = \"127.0.0.1:0\"\n[[application]]\nbackends = \"unix:/run/wiki.sock\"\n[[site]]\nhosts = \"wiki.example.org\"\nredirect = [\"/a /b\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"listen = [\"127.0.0.1:0\"]  # line 2\n", "name = \"application\"  # derived\n", "backends = [\"unix:/run/wiki.sock\"]  # line 4\n",
		"hosts = [\"wiki.example.org\"]  # line 6\n", "application = \"application\"  # derived\n",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in\n%s", part, text)
		}
	}
	shown, err := Parse("shown.toml", text)
	if err != nil || !reflect.DeepEqual(shown.Standalone, f.Standalone) {
		t.Errorf("%v\n%s", err, text)
	}
}
