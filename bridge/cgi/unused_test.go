package cgi

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestUnused(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	for _, name := range []string{"index.php", "data/x", "lib/tpl/y.css"} {
		writeFile(t, root, name, 0o644)
	}
	lib := filepath.Join(root, "lib")
	for name, test := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no root": {Config{Hide: []string{"/x"}}, nil},
		"all used": {Config{
			Preset: PresetPHP, Root: root, Mount: "/m", Fallback: "/index.php", Follow: []string{outside}, Hide: []string{"/data", "/m/nothing"},
		}, nil},
		"what is there": {Config{Preset: PresetPHP, Root: root, Mount: "/m", Hide: []string{"/data", "/m/lib/tpl", "/index.php/admin", "/data/x"}}, nil},
		"a root for nothing": {Config{Root: root}, []string{
			`cgi: root "` + root + `": preset "app" neither runs nor sends files, the application is only told of the directory (for scripts and files there, use preset "php" or "cgi", or set static)`,
		}},
		"a follow within": {Config{Preset: PresetPHP, Root: root, Follow: []string{lib}}, []string{
			`cgi: follow "` + lib + `": is below the root ` + root + `, where symbolic links may lead anyway`,
		}},
		"no fallback": {Config{Preset: PresetPHP, Root: root, Fallback: "/front.php"}, []string{
			`cgi: fallback "/front.php": there is no such script below ` + root,
		}},
		"hide without the fallback": {Config{Preset: PresetPHP, Root: root, Fallback: "/front.php", Hide: []string{"/dta"}}, []string{
			`cgi: fallback "/front.php": there is no such script below ` + root,
			`cgi: hide "/dta": there is nothing at ` + filepath.Join(root, "dta") + ` (is it misspelt?)`,
		}},
		"misspelt": {Config{Preset: PresetPHP, Root: root, Mount: "/m", Hide: []string{"/dta", "/m/conf"}}, []string{
			`cgi: hide "/dta": there is nothing at ` + filepath.Join(root, "dta") + ` (is it misspelt?)`,
			`cgi: hide "/m/conf": there is nothing at ` + filepath.Join(root, "conf") + ` (is it misspelt?)`,
		}},
	} {
		var got []string
		for _, err := range newMapper(t, test.cfg).Unused() {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, test.want)
		}
	}
}
