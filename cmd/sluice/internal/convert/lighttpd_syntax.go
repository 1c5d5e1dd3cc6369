package convert

import "strings"

// lighttpd's files: KEY = VALUE, KEY += VALUE, and conditions with a block in braces.

// value is a text, or a list of values that may have keys.
type value struct {
	text   string
	isList bool
	list   []pair
}

type pair struct {
	key string
	value
}

// get is the value of a key in a list.
func (v *value) get(key string) (found value, ok bool) {
	for _, p := range v.list {
		if p.key == key {
			return p.value, true
		}
	}
	return value{}, false
}

func parseLighttpd(f *files, path string) ([]*directive, error) {
	p := &lighttpdParser{files: f, variables: map[string]value{}}
	return p.file(path, 0)
}

// lighttpdParser reads files that share variables.
type lighttpdParser struct {
	*scanner
	files     *files
	depth     int
	variables map[string]value
}

func (p *lighttpdParser) file(path string, depth int) ([]*directive, error) {
	text, err := p.files.read(path)
	if err != nil {
		return nil, err
	}
	inner := &lighttpdParser{newScanner(path, text), p.files, depth, p.variables}
	return inner.block(nil)
}

func (p *lighttpdParser) block(in *directive) (all []*directive, err error) {
	for {
		if end, err := p.blockEnds(in); end || err != nil {
			return all, err
		}
		d := &directive{path: p.path, at: p.at}
		if d.name = p.name(); d.name == "" {
			return nil, p.unexpected("a setting or a condition")
		}
		switch {
		case d.name == "include":
			v, err := p.expression()
			if err != nil {
				return nil, err
			}
			d.args = []string{v.text}
			more, err := p.files.include(d, v.text, p.depth, p.file)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		case d.name == "include_shell":
			d.args = []string{strings.TrimSpace(p.skipLine())}
		case strings.HasPrefix(d.name, "$"), d.name == "else":
			if err = p.condition(d); err != nil {
				return nil, err
			}
		default:
			if err = p.assignment(d); err != nil {
				return nil, err
			}
		}
		all = append(all, d)
	}
}

// name reads a key, or a condition such as $HTTP["host"].
func (p *lighttpdParser) name() string {
	start := p.i
	for !p.done() {
		c := p.peek()
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == '$':
		case strings.IndexByte(`["]`, c) >= 0 && p.text[start] == '$':
		default:
			return p.text[start:p.i]
		}
		p.next()
	}
	return p.text[start:p.i]
}

// condition reads the rest of a condition, and its block.
func (p *lighttpdParser) condition(d *directive) (err error) {
	p.skipBlanks()
	if d.name == "else" {
		switch {
		case p.hasPrefix("if"):
			p.next()
			p.next()
			p.skipBlanks()
			d.args = append(d.args, p.name())
		case p.peek() == '$':
			d.args = append(d.args, p.name())
		}
		p.skipBlanks()
	}
	if p.peek() != '{' {
		start := p.i
		for !p.done() && strings.IndexByte("=!~^$", p.peek()) >= 0 {
			p.next()
		}
		operator := p.text[start:p.i]
		if operator == "" {
			return p.unexpected("a comparison, == or =~")
		}
		v, err := p.expression()
		if err != nil {
			return err
		}
		d.args = append(d.args, operator, v.text)
		p.skipBlanks()
	}
	if p.peek() != '{' {
		return p.unexpected("{")
	}
	p.next()
	d.open = true
	d.block, err = p.block(d)
	return err
}

// assignment reads what a key is set to.
func (p *lighttpdParser) assignment(d *directive) error {
	p.skipBlanks()
	more := false
	switch {
	case p.hasPrefix("+="):
		p.next()
		more = true
	case p.hasPrefix(":="):
		p.next()
	case p.peek() != '=':
		return p.unexpected("= after " + d.name)
	}
	p.next()
	if p.peek() == '>' {
		return p.unexpected("a value")
	}
	v, err := p.expression()
	if err != nil {
		return err
	}
	d.value, d.adds = &v, more
	if strings.HasPrefix(d.name, "var.") || !strings.Contains(d.name, ".") {
		if former, ok := p.variables[d.name]; ok && more {
			v = former.plus(v)
		}
		if v.size() > maxVariable {
			return d.problem("%s: a value that is too large", d)
		}
		p.variables[d.name] = v
		p.variables[strings.TrimPrefix(d.name, "var.")] = v
	}
	return nil
}

// plus is a + b: joined texts, or one list.
func (v value) plus(w value) value {
	if v.isList {
		return value{isList: true, list: append(append([]pair(nil), v.list...), w.list...)}
	}
	return value{text: v.text + w.text}
}

// size is how much a value holds.
func (v value) size() int {
	n := len(v.text)
	for _, p := range v.list {
		n += 1 + p.size()
	}
	return n
}

// expression reads values that are added up.
func (p *lighttpdParser) expression() (value, error) {
	v, err := p.single()
	for err == nil {
		i, at := p.i, p.at
		p.skipBlanks()
		if p.peek() != '+' || p.hasPrefix("+=") {
			p.i, p.at = i, at
			break
		}
		p.next()
		var more value
		if more, err = p.single(); err == nil {
			v = v.plus(more)
		}
		if v.size() > maxVariable {
			err = p.problem(p.at, "a value that is too large")
		}
	}
	return v, err
}

func (p *lighttpdParser) single() (value, error) {
	p.skipBlanks()
	switch c := p.peek(); {
	case c == '"' || c == '\'':
		text, err := p.quoted("\"'")
		return value{text: text}, err
	case c == '(':
		return p.list()
	case p.done():
		return value{}, p.problem(p.at, "the file ends where a value is to be")
	}
	name := p.name()
	if name == "" {
		return value{}, p.unexpected("a value")
	}
	if v, ok := p.variables[name]; ok {
		return v, nil
	}
	return value{text: name}, nil // a number, enable, or a variable of lighttpd's own
}

// list reads ( value, key => value, ... ).
func (p *lighttpdParser) list() (value, error) {
	at := p.at
	p.next()
	v := value{isList: true}
	for {
		p.skipBlanks()
		switch {
		case p.done():
			return v, p.problem(at, "(: the ) at its end is missing")
		case p.peek() == ')':
			p.next()
			return v, nil
		case p.peek() == ',':
			p.next()
			continue
		}
		one, err := p.expression()
		if err != nil {
			return v, err
		}
		p.skipBlanks()
		if !p.hasPrefix("=>") {
			v.list = append(v.list, pair{value: one})
			continue
		}
		p.next()
		p.next()
		second, err := p.expression()
		if err != nil {
			return v, err
		}
		v.list = append(v.list, pair{one.text, second})
	}
}
