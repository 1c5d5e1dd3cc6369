package convert

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// Whatever is in a file, it becomes a configuration that can be written, or an error.
func FuzzFile(f *testing.F) {
	for _, kind := range Kinds() {
		files, err := filepath.Glob(filepath.Join("testdata", string(kind), "*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			if filepath.Ext(path) == ".toml" {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(kind), string(text))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, kind, text string) {
		if _, known := languages[Kind(kind)]; !known {
			t.Skip()
		}
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := File(path, Kind(kind))
		if err != nil {
			return
		}
		if _, err := tomlfile.Write(r.Config); err != nil {
			t.Errorf("%v", err)
		}
		for _, left := range r.Left {
			if left.At.Line < 1 || left.Path == "" {
				t.Errorf("no place: %v", left)
			}
		}
	})
}
