package tomlfile

import (
	"fmt"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Show returns everything that is in force with a file, which is a file itself: each setting with a
// comment that says where its value comes from. What is decided while Sluice runs is a comment.
func (f *File) Show() ([]byte, error) {
	key := func(s *config.Setting) string { return s.Key }
	w := writer{show: func(table string, i int, s *config.Setting, value string) string {
		at, written := f.located(table, i).keys[s.Key]
		switch {
		case value != "" && written:
			return fmt.Sprintf("%s = %s  # line %d", s.Key, value, at.Line)
		case value != "" && s.Default != "":
			return fmt.Sprintf("%s = %s  # default", s.Key, value)
		case value != "":
			return fmt.Sprintf("%s = %s  # derived", s.Key, value)
		case s.Otherwise != "":
			return fmt.Sprintf("# %s: default: %s", s.Key, s.Preset(key))
		case s.Zero != "":
			return fmt.Sprintf("# %s: default: %s", s.Key, s.Zero)
		}
		return fmt.Sprintf("# %s: not set", s.Key)
	}}
	return w.write(&f.Standalone)
}

func (f *File) located(table string, i int) *located {
	switch table {
	case tableServer:
		return &f.server
	case tableApplication:
		return &f.applications[i]
	}
	return &f.sites[i]
}
