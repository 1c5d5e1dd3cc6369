package convert

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
)

// glob is a pattern of Sluice: text in which * stands for any run of characters.
type glob struct {
	text       string
	begins     bool           // at the beginning of the path
	ends       bool           // at its end
	groups     map[int]string // what each group of the regular expression has become
	starsAhead map[int]int    // how many stars stand before a group
}

// maxGlobs is how many patterns one regular expression may become.
const maxGlobs = 64

// globs returns patterns that together match what a regular expression does.
func globs(expression string) ([]glob, error) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, errors.New("a regular expression that Sluice's patterns cannot say")
	}
	all, err := expand([]glob{{}}, re)
	if err != nil {
		return nil, fmt.Errorf("a regular expression that Sluice's patterns cannot say: %w", err)
	}
	return all, nil
}

// expand appends what re matches to each of the patterns.
func expand(all []glob, re *syntax.Regexp) ([]glob, error) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return all, nil
	case syntax.OpLiteral:
		text := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 {
			return nil, errors.New("it is for capital letters as well as small ones")
		}
		if strings.ContainsAny(text, "*? ") {
			return nil, fmt.Errorf("there is %q in it", text)
		}
		return appended(all, text), nil
	case syntax.OpConcat:
		var err error
		for _, sub := range re.Sub {
			if all, err = expand(all, sub); err != nil {
				return nil, err
			}
		}
		return all, nil
	case syntax.OpAlternate:
		var either []glob
		for _, sub := range re.Sub {
			more, err := expand(clone(all), sub)
			if err != nil {
				return nil, err
			}
			if either = append(either, more...); len(either) > maxGlobs {
				return nil, fmt.Errorf("it means more than %d", maxGlobs)
			}
		}
		return either, nil
	case syntax.OpQuest:
		with, err := expand(clone(all), re.Sub[0])
		if err == nil && len(all)+len(with) > maxGlobs {
			err = fmt.Errorf("it means more than %d", maxGlobs)
		}
		return append(with, all...), err
	case syntax.OpCapture:
		return captured(all, re)
	case syntax.OpBeginText, syntax.OpBeginLine:
		for i := range all {
			if all[i].text != "" {
				return nil, errors.New("there is ^ within it")
			}
			all[i].begins = true
		}
		return all, nil
	case syntax.OpEndText, syntax.OpEndLine:
		for i := range all {
			all[i].ends = true
		}
		return all, nil
	case syntax.OpStar, syntax.OpPlus:
		if re.Op == syntax.OpPlus && re.Sub[0].String() == "/" {
			return appended(all, "/"), nil // paths are compared with one / for several
		}
		if !isAny(re.Sub[0]) {
			return nil, fmt.Errorf("%q repeats", re.Sub[0])
		}
		return appended(all, "*"), nil
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL: // "install.php" is written for "install\.php"
		return appended(all, "."), nil
	case syntax.OpCharClass:
		return expandClass(all, re)
	}
	return nil, fmt.Errorf("there is %q in it", re)
}

// isAny reports an expression for any character, but for some that paths are divided by.
func isAny(re *syntax.Regexp) bool {
	if re.Op == syntax.OpAnyChar || re.Op == syntax.OpAnyCharNotNL {
		return true
	}
	// All characters but one or two, such as [^/] and [^?].
	return re.Op == syntax.OpCharClass && len(re.Rune) >= 4 && len(re.Rune) <= 6 && re.Rune[0] == 0 && re.Rune[len(re.Rune)-1] == 0x10ffff
}

// maxClass is how many characters a class in brackets may have.
const maxClass = 4

func expandClass(all []glob, re *syntax.Regexp) (either []glob, err error) {
	n := 0
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
			if n++; n > maxClass || len(either)+len(all) > maxGlobs {
				return nil, fmt.Errorf("%q is one of many characters", re)
			}
			either = append(either, appended(clone(all), string(c))...)
		}
	}
	return either, nil
}

// captured expands a group, and remembers what it has become.
func captured(all []glob, re *syntax.Regexp) (expanded []glob, err error) {
	for _, g := range all {
		more, err := expand(clone([]glob{g}), re.Sub[0])
		if err != nil {
			return nil, err
		}
		for i := range more {
			if more[i].groups == nil {
				more[i].groups, more[i].starsAhead = make(map[int]string), make(map[int]int)
			}
			more[i].groups[re.Cap] = more[i].text[len(g.text):]
			more[i].starsAhead[re.Cap] = strings.Count(g.text, "*")
		}
		if expanded = append(expanded, more...); len(expanded) > maxGlobs {
			return nil, fmt.Errorf("it means more than %d", maxGlobs)
		}
	}
	return expanded, nil
}

func appended(all []glob, text string) []glob {
	for i := range all {
		all[i].text += text
	}
	return all
}

// clone copies patterns, so that what follows in one of two branches leaves the other alone.
func clone(all []glob) []glob {
	copies := make([]glob, len(all))
	for i, g := range all {
		copies[i] = glob{text: g.text, begins: g.begins, ends: g.ends}
		for n, text := range g.groups {
			if copies[i].groups == nil {
				copies[i].groups, copies[i].starsAhead = make(map[int]string), make(map[int]int)
			}
			copies[i].groups[n], copies[i].starsAhead[n] = text, g.starsAhead[n]
		}
	}
	return copies
}

// pattern is the glob as a pattern of whole paths.
func (g *glob) pattern() string {
	text := g.text
	if !g.begins && !strings.HasPrefix(text, "*") {
		text = "*" + text
	}
	if !g.ends && !strings.HasSuffix(text, "*") {
		text += "*"
	}
	return text
}

// prefix is the path for which, with all that is below it, the glob stands: "/data" of ^/data/ and of
// ^/data(/.*)?$. whole is false if it also stands for names that begin so. ok is false if it is something else.
func (g *glob) prefix() (path string, whole, ok bool) {
	path = strings.TrimSuffix(g.text, "*")
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "*") {
		return "", false, false
	}
	whole = strings.HasSuffix(path, "/") || g.ends && path == g.text
	return strings.TrimSuffix(path, "/"), whole, path != "/"
}

// substitute puts what the groups have become in place of $1, $2 (or \1, %{re.1}) in a target. ok is false
// if the stars would not stand for the same in the order of the pattern.
func (g *glob) substitute(target string, sign byte) (text string, ok bool) {
	stars := 0
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		c := target[i]
		if c != sign || i+1 == len(target) || target[i+1] < '0' || target[i+1] > '9' {
			if c == '*' {
				return "", false
			}
			b.WriteByte(c)
			continue
		}
		i++
		group := g.groups[int(target[i]-'0')]
		ahead := g.starsAhead[int(target[i]-'0')]
		if !g.begins {
			ahead++ // pattern begins with a star
		}
		if n := strings.Count(group, "*"); n > 0 {
			if ahead != stars {
				return "", false
			}
			stars += n
		}
		b.WriteString(group)
	}
	return b.String(), true
}
