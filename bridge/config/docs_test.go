package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/settings.md anew")

// TestDocs compares the tables of docs/settings.md with the declarations.
func TestDocs(t *testing.T) {
	const file = "../../docs/settings.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spawn := func(s *Setting) bool { return strings.HasPrefix(s.Key, "spawn.") }
	text := string(data)
	text = table(t, text, "site", Settings, func(s *Setting) bool { return s.OfSite })
	text = table(t, text, "application", Settings, func(s *Setting) bool { return !s.OfSite && !spawn(s) })
	text = table(t, text, "spawn", Settings, spawn)
	text = table(t, text, "server", serverSchema.Settings, all)
	text = table(t, text, "standalone", slices.Concat(applicationSchema.Settings, siteSchema.Settings), func(s *Setting) bool { return Lookup(s.Key) == nil })
	if text == string(data) {
		return
	}
	if !*update {
		t.Errorf("%s is not what the declarations say: go test ./bridge/config -update", file)
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table replaces what stands between the marks of a table.
func table(t *testing.T, text, name string, list []*Setting, has func(*Setting) bool) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("there is no %q", begin)
	}
	var rows strings.Builder
	rows.WriteString("| setting, flag | value | default | |\n|---|---|---|---|\n")
	for _, s := range list {
		if has(s) {
			rows.WriteString(row(s))
		}
	}
	return before + begin + rows.String() + end + after
}

func row(s *Setting) string {
	key := func(s *Setting) string { return "`" + s.Key + "`" }
	name := key(s) + map[Change]string{Processes: " (P)", Backend: " (B)", Restart: " (R)"}[s.Change]
	if s.Flag != "" {
		name += "<br>`--" + s.Flag + "`"
	}
	if s.Former != "" {
		name += "<br>formerly `" + s.Former + "`"
	}
	value := "text"
	switch {
	case len(s.Words) > 0:
		value = "`" + strings.Join(s.Words, "`, `") + "`"
	case s.IsList():
		value = "list"
	case s.IsMap():
		value = "name, value"
	case s.Bytes:
		value = "size"
	case s.plain() == reflect.TypeFor[Duration]():
		value = "time"
	case !s.takesText():
		value = "number"
	}
	preset := s.Preset(key)
	switch {
	case s.Default != "":
		preset = "`" + s.Default + "`"
	case s.Zero != "" && preset == "":
		preset = s.Zero
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", name, value, preset, s.Explain(key))
}
