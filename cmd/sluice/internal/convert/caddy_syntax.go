package convert

import (
	"strings"

	"github.com/sluice-proxy/sluice/cmd/sluice/internal/tomlfile"
)

// Caddy's files: words, lines, and blocks in braces; snippets in parentheses that are imported.

// token is a word of a Caddyfile.
type token struct {
	text   string
	at     tomlfile.Position
	quoted bool
	first  bool // of its line
}

func parseCaddy(f *files, path string) ([]*directive, error) {
	p := &caddyParser{files: f, snippets: map[string][]*directive{}, count: new(int)}
	return p.file(path, 0)
}

type caddyParser struct {
	files    *files
	snippets map[string][]*directive
	path     string
	tokens   []token
	i        int
	depth    int
	count    *int // of the directives that snippets have become
}

func (p *caddyParser) file(path string, depth int) ([]*directive, error) {
	text, err := p.files.read(path)
	if err != nil {
		return nil, err
	}
	tokens, err := caddyTokens(newScanner(path, text))
	if err != nil {
		return nil, err
	}
	inner := &caddyParser{p.files, p.snippets, path, tokens, 0, depth, p.count}
	all, err := inner.block(nil)
	if err != nil || depth > 0 {
		return all, err
	}
	return wholeSite(all), nil
}

// wholeSite makes a site of a file that has only the directives of one.
func wholeSite(all []*directive) []*directive {
	for _, d := range all {
		if d.open || d.name == "" {
			return all
		}
	}
	if len(all) < 2 {
		return all
	}
	address := all[0]
	address.open, address.block = true, all[1:]
	return []*directive{address}
}

// caddyTokens divides a file into words.
func caddyTokens(s *scanner) (all []token, err error) {
	first := true
	for !s.done() {
		switch c := s.peek(); {
		case c == '\n':
			s.next()
			first = true
			continue
		case c == ' ' || c == '\t' || c == '\r':
			s.next()
			continue
		case c == '\\' && (s.hasPrefix("\\\n") || s.hasPrefix("\\\r\n")):
			for s.next() != '\n' {
			}
			continue
		case c == '#':
			s.skipLine()
			continue
		}
		t := token{at: s.at, first: first}
		if c := s.peek(); c == '"' || c == '`' {
			escapes := "\""
			if c == '`' {
				escapes = ""
			}
			if t.text, err = s.quoted(escapes); err != nil {
				return nil, err
			}
			t.quoted = true
		} else {
			start := s.i
			for !s.done() && strings.IndexByte(" \t\r\n", s.peek()) < 0 {
				s.next()
			}
			t.text = s.text[start:s.i]
		}
		all = append(all, t)
		first = false
	}
	return all, nil
}

// block reads lines up to the } of the directive that they are in, or to the end of the file.
func (p *caddyParser) block(in *directive) (all []*directive, err error) {
	for {
		if p.i == len(p.tokens) {
			if in != nil {
				return nil, in.problem("%s: the } at its end is missing", in)
			}
			return all, nil
		}
		t := p.tokens[p.i]
		if t.text == "}" && !t.quoted {
			if in == nil {
				return nil, &tomlfile.Problem{Path: p.path, At: t.at, Text: "there is \"}\", want a site"}
			}
			p.i++
			return all, nil
		}
		d, err := p.line()
		if err != nil {
			return nil, err
		}
		switch name, isSnippet := strings.CutPrefix(d.name, "("); {
		case isSnippet && in == nil && d.open:
			p.snippets[strings.TrimSuffix(name, ")")] = d.block
		case d.name == "import" && !d.open:
			more, err := p.imported(d)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		default:
			all = append(all, d)
		}
	}
}

// imported is what an import stands for.
func (p *caddyParser) imported(d *directive) ([]*directive, error) {
	if len(d.args) == 0 {
		return nil, d.problem("import: want the name of a snippet or a file")
	}
	if snippet, ok := p.snippets[d.arg(0)]; ok {
		all := withArgs(snippet, d.args[1:])
		if *p.count += size(all); *p.count > maxDirectives {
			return nil, d.problem("%s: snippets become more than %d directives", d, maxDirectives)
		}
		return all, nil
	}
	return p.files.include(d, d.arg(0), p.depth, p.file)
}

// withArgs is a snippet with the arguments of its import.
func withArgs(all []*directive, args []string) []*directive {
	var list []*directive
	for _, d := range all {
		c := *d
		c.args = nil
		for _, text := range d.args {
			for i, arg := range args {
				n := string(rune('0' + i))
				text = strings.NewReplacer("{args["+n+"]}", arg, "{args."+n+"}", arg).Replace(text)
			}
			c.args = append(c.args, text)
		}
		c.block = withArgs(d.block, args)
		list = append(list, &c)
	}
	return list
}

// line reads a line, with its block.
func (p *caddyParser) line() (*directive, error) {
	t := p.tokens[p.i]
	d := &directive{path: p.path, at: t.at}
	if t.text == "{" && !t.quoted { // the global options
		d.name = ""
	} else {
		d.name = t.text
		p.i++
	}
	for p.i < len(p.tokens) && (!p.tokens[p.i].first || d.name == "" && !d.open || strings.HasSuffix(d.String(), ",")) {
		t := p.tokens[p.i]
		if t.text == "{" && !t.quoted {
			p.i++
			d.open = true
			var err error
			d.block, err = p.block(d)
			return d, err
		}
		if t.text == "}" && !t.quoted {
			return d, nil
		}
		p.i++
		d.args = append(d.args, t.text)
	}
	return d, nil
}
