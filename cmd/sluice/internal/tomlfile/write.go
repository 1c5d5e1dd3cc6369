package tomlfile

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Write returns the file that means a configuration. Settings that are not set are left out.
func Write(c *config.Standalone) ([]byte, error) {
	w := writer{show: func(_ string, _ int, s *config.Setting, value string) (line string) {
		if value == "" {
			return ""
		}
		return s.Key + " = " + value
	}}
	return w.write(c)
}

// writer writes files. show returns the line of a setting; value is "" if that is not set.
type writer struct {
	show func(table string, i int, s *config.Setting, value string) (line string)
	buf  bytes.Buffer
	err  error
}

func (w *writer) write(c *config.Standalone) ([]byte, error) {
	w.table(tableServer, 0, &c.Server)
	for i, a := range c.Applications {
		w.table(tableApplication, i, a)
	}
	for i, s := range c.Sites {
		w.table(tableSite, i, s)
	}
	return w.buf.Bytes(), w.err
}

func (w *writer) table(name string, i int, of config.Holder) {
	if w.buf.Len() > 0 {
		w.buf.WriteByte('\n')
	}
	fmt.Fprintln(&w.buf, tables[name].header)
	for _, s := range of.Schema().Settings {
		if !s.Exists(of) {
			continue
		}
		text := ""
		if value, ok := s.Get(of); ok {
			var err error
			if text, err = encode(value); err != nil && w.err == nil {
				w.err = fmt.Errorf("%s: %w", s.Key, err)
			}
		}
		if line := w.show(name, i, s, text); line != "" {
			fmt.Fprintln(&w.buf, line)
		}
	}
}

// encode returns a value of config.Setting.Get in TOML.
func encode(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return quote(v)
	case []string:
		list := make([]string, len(v))
		for i, text := range v {
			var err error
			if list[i], err = quote(text); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(list, ", ") + "]", nil
	case map[string]string:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			text, err := quote(v[name])
			if err != nil {
				return "", err
			}
			key := name
			if !bareKey.MatchString(name) {
				if key, err = quote(name); err != nil {
					return "", err
				}
			}
			list = append(list, key+" = "+text)
		}
		return "{ " + strings.Join(list, ", ") + " }", nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	}
	return fmt.Sprint(value), nil
}

// bareKey matches a key that needs no quotes.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// quote returns a text in quotes.
func quote(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%q is not UTF-8, which a TOML file consists of", text)
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}
