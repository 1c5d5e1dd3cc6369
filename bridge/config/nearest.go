package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// OtherWords maps names that other servers use to keys.
var OtherWords = map[string]string{
	"upstream": "backends", "server": "backends", "socket": "backends", "fastcgi_pass": "backends", "connect": "backends",
	"scgi_pass": "backends", "uwsgi_pass": "backends", "scheme": "protocol",
	"threads": "workers", "processes": "workers", "children": "workers", "concurrency": "workers", "max_conns": "workers",
	"docroot": "root", "document_root": "root", "dir": "root",
	"user": "spawn.user", "group": "spawn.group", "umask": "spawn.umask",
	"try_files": "fallback", "dial_timeout": "timeouts.dial", "write_timeout": "timeouts.send", "read_timeout": "timeouts.first_byte",
}

// Nearest returns the known word that was probably meant: one with a similar spelling, or the
// only one that word is a prefix of. others maps further words to known ones. It returns "" if
// there is none.
func Nearest(word string, known []string, others map[string]string) string {
	plain := func(w string) string { return strings.ReplaceAll(strings.ToLower(w), "_", "-") }
	word = plain(word)
	best, least := "", 3
	if len(word) < 5 {
		least = 2
	}
	for _, w := range slices.Concat(known, slices.Sorted(maps.Keys(others))) {
		if d := distance(word, plain(w)); d < least {
			best, least = w, d
		}
	}
	if best == "" {
		begin := slices.DeleteFunc(slices.Clone(known), func(w string) bool { return !strings.HasPrefix(plain(w), word) })
		if len(begin) == 1 {
			best = begin[0]
		}
	}
	if other, ok := others[best]; ok && !slices.Contains(known, best) {
		best = other
	}
	if !slices.Contains(known, best) {
		return ""
	}
	return best
}

// distance is the Levenshtein distance, but 1 for two letters in the wrong order.
func distance(a, b string) int {
	d := levenshtein.ComputeDistance(a, b)
	if d == 2 && slices.Equal(letters(a), letters(b)) {
		return 1
	}
	return d
}

func letters(word string) []byte {
	b := []byte(word)
	slices.Sort(b)
	return b
}

// Unknown returns the error for a name that does not exist in a group, or at the top level if
// group is empty. It suggests the nearest name, or lists all. The keys in without do not exist
// either. what is "option" or "key".
func Unknown(what, name, group string, without []string) error {
	return declarations.Unknown(what, name, group, without)
}

// Unknown is that of the settings of d.
func (d *Schema) Unknown(what, name, group string, without []string) error {
	known := slices.DeleteFunc(d.names(group), func(n string) bool { return slices.Contains(without, n) })
	there := func(key string) bool {
		top, _, _ := strings.Cut(key, ".")
		return d.byKey[key] != nil && !slices.Contains(without, top)
	}
	best := ""
	if group == "" && there(OtherWords[name]) {
		best = OtherWords[name]
	}
	if best == "" {
		best = Nearest(name, known, nil)
	}
	if key := d.elsewhere(name, group); best == "" && there(key) {
		best = key
	}
	if best != "" {
		return fmt.Errorf("unrecognized %s '%s', did you mean '%s'?", what, name, best)
	}
	return fmt.Errorf("unrecognized %s '%s', want one of: %s", what, name, strings.Join(known, ", "))
}

// elsewhere returns the only key in another group that ends in name, or "".
func (d *Schema) elsewhere(name, group string) (found string) {
	for _, s := range d.Settings {
		if in, last, nested := cutLast(s.Key); last != name || !nested || in == group {
			continue
		}
		if found != "" {
			return ""
		}
		found = s.Key
	}
	return found
}
