package tomlfile

import (
	"bytes"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// table is a table of a file, with its keys in their order.
type table struct {
	at      Position
	entries []*entry
}

// entry is a key of a table, with a value, a table, or the tables of an array.
type entry struct {
	name   string
	at     Position // of the key
	value  any      // as config.Setting.Assign takes it
	table  *table
	tables []*table
}

// date is a value that no setting takes.
type date struct{}

func (t *table) find(name string) *entry {
	for _, e := range t.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

// values returns what is in t, as a setting takes a map.
func (t *table) values() map[string]any {
	m := make(map[string]any)
	for _, e := range t.entries {
		m[e.name] = e.any()
	}
	return m
}

// any returns what e holds, as a setting takes it.
func (e *entry) any() any {
	switch {
	case e.table != nil:
		return e.table.values()
	case e.tables != nil:
		list := make([]any, len(e.tables))
		for i, t := range e.tables {
			list[i] = t.values()
		}
		return list
	}
	return e.value
}

// parse returns the table of a whole file.
func parse(data []byte, pause func()) (*table, *Problem) {
	if err := checkSyntax(data); err != nil {
		return nil, err
	}
	p := parser{root: &table{}, lines: lines{data: data, number: 1}}
	p.unstable.Reset(data)
	in := p.root
	for p.unstable.NextExpression() {
		pause()
		switch n := p.unstable.Expression(); n.Kind {
		case unstable.Table:
			in = p.open(n, false)
		case unstable.ArrayTable:
			in = p.open(n, true)
		case unstable.KeyValue:
			p.keyValue(in, n)
		}
	}
	return p.root, nil
}

// checkSyntax finds what is wrong before anything has a meaning: names that are given twice, too.
func checkSyntax(data []byte) *Problem {
	var any map[string]any
	err := toml.Unmarshal(data, &any)
	if err == nil {
		return nil
	}
	p := &Problem{Text: strings.TrimPrefix(err.Error(), "toml: ")}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		p.At.Line, p.At.Column = wrong.Position()
	}
	switch {
	case strings.HasPrefix(string(data), "\xef\xbb\xbf"):
		p.Text = "begins with a byte order mark: save the file as UTF-8 without one"
	case strings.Contains(p.Text, "at start of value") || strings.Contains(p.Text, "expected value"):
		p.Text += " (texts stand in quotes: name = \"wiki\")"
	}
	return p
}

type parser struct {
	unstable unstable.Parser
	root     *table
	lines    lines
}

// lines finds positions in the order of the text, each from the line of the one before: the parser's own
// begin with the first line, which takes seconds in a long file.
type lines struct {
	data   []byte
	begins int // of the line
	number int
}

func (l *lines) position(offset int) Position {
	if offset < l.begins {
		l.begins, l.number = 0, 1
	}
	for {
		i := bytes.IndexByte(l.data[l.begins:offset], '\n')
		if i < 0 {
			return Position{l.number, offset - l.begins + 1}
		}
		l.begins += i + 1
		l.number++
	}
}

func (p *parser) position(n *unstable.Node) Position { return p.lines.position(int(n.Raw.Offset)) }

// open returns the table of a header. Those around it are created if necessary.
func (p *parser) open(n *unstable.Node, isArray bool) *table {
	t := p.root
	for keys := n.Key(); keys.Next(); {
		key, at := keys.Node(), p.position(keys.Node())
		e := t.child(string(key.Data), at)
		switch {
		case keys.IsLast() && isArray:
			e.tables = append(e.tables, &table{at: at})
			t = e.tables[len(e.tables)-1]
		case len(e.tables) > 0:
			t = e.tables[len(e.tables)-1]
		default:
			t = e.asTable()
		}
	}
	return t
}

// child returns the entry of a name, which it creates if necessary.
func (t *table) child(name string, at Position) *entry {
	e := t.find(name)
	if e == nil {
		e = &entry{name: name, at: at}
		t.entries = append(t.entries, e)
	}
	return e
}

func (e *entry) asTable() *table {
	if e.table == nil {
		e.table = &table{at: e.at}
	}
	return e.table
}

// keyValue adds a key and its value to t.
func (p *parser) keyValue(t *table, n *unstable.Node) {
	for keys := n.Key(); keys.Next(); {
		e := t.child(string(keys.Node().Data), p.position(keys.Node()))
		if !keys.IsLast() {
			t = e.asTable()
			continue
		}
		if v := n.Value(); v.Kind == unstable.InlineTable {
			p.inline(e.asTable(), v)
		} else {
			e.value = p.value(v)
		}
	}
}

func (p *parser) inline(t *table, n *unstable.Node) {
	for all := n.Children(); all.Next(); {
		p.keyValue(t, all.Node())
	}
}

func (p *parser) value(n *unstable.Node) any {
	switch n.Kind {
	case unstable.String:
		return string(n.Data)
	case unstable.Bool:
		return string(n.Data) == "true"
	case unstable.Integer:
		text := strings.ReplaceAll(string(n.Data), "_", "")
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i
		}
		i, _ := new(big.Int).SetString(text, 0) // the syntax was checked
		f, _ := new(big.Float).SetInt(i).Float64()
		return f // too large for what is a whole number
	case unstable.Float:
		f, _ := strconv.ParseFloat(strings.ReplaceAll(string(n.Data), "_", ""), 64) // the syntax was checked
		return f
	case unstable.Array:
		list := []any{}
		for all := n.Children(); all.Next(); {
			if v := all.Node(); v.Kind == unstable.InlineTable {
				t := new(table)
				p.inline(t, v)
				list = append(list, t.values())
			} else if v.Kind != unstable.Comment {
				list = append(list, p.value(v))
			}
		}
		return list
	}
	return date{}
}
