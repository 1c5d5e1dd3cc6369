package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// OtherWords are what other servers call settings, and the keys of these.
var OtherWords = map[string]string{
	"upstream": "backends", "server": "backends", "socket": "backends", "fastcgi_pass": "backends", "connect": "backends",
	"threads": "workers", "processes": "workers", "children": "workers", "concurrency": "workers", "max_conns": "workers",
	"docroot": "root", "document_root": "root", "dir": "root",
	"user": "spawn.user", "group": "spawn.group", "umask": "spawn.umask",
	"try_files": "fallback", "dial_timeout": "timeouts.dial", "write_timeout": "timeouts.send", "read_timeout": "timeouts.first_byte",
}

// Nearest returns the word that was meant: one that is written nearly so, the only one that
// begins so, or what others call it; "" if there is none.
func Nearest(word string, known []string, others map[string]string) string {
	plain := func(w string) string { return strings.ReplaceAll(strings.ToLower(w), "_", "-") }
	word = plain(word)
	best, least := "", 3
	if len(word) < 5 {
		least = 2
	}
	for _, w := range slices.Concat(known, slices.Sorted(maps.Keys(others))) {
		if d := levenshtein.ComputeDistance(word, plain(w)); d < least {
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

// Unknown is the error for a name that a group does not have; "" is the top. Those in without
// are not there either. It says which was meant, or all there are. what is what they are called.
func Unknown(what, name, group string, without []string) error {
	known := slices.DeleteFunc(Names(group), func(n string) bool { return slices.Contains(without, n) })
	there := func(key string) bool {
		top, _, _ := strings.Cut(key, ".")
		return key != "" && !slices.Contains(without, top)
	}
	best := ""
	if group == "" && there(OtherWords[name]) {
		best = OtherWords[name]
	}
	if best == "" {
		best = Nearest(name, known, nil)
	}
	if key := elsewhere(name, group); best == "" && there(key) {
		best = key
	}
	if best != "" {
		return fmt.Errorf("unrecognized %s '%s', did you mean '%s'?", what, name, best)
	}
	return fmt.Errorf("unrecognized %s '%s', want one of: %s", what, name, strings.Join(known, ", "))
}

// elsewhere is the key that ends in name, if there is one such key, and it is in another group.
func elsewhere(name, group string) (found string) {
	for _, s := range Settings {
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
