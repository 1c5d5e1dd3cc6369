package convert

import "strings"

// nginx's files: words, each directive with ; or a block in braces at its end.

// usualIncludes are files with what Sluice knows by itself.
var usualIncludes = []string{"fastcgi_params", "fastcgi.conf", "scgi_params", "uwsgi_params", "proxy_params", "mime.types", "koi-utf", "koi-win", "win-utf", "modules-enabled"}

func parseNginx(f *files, path string) ([]*directive, error) { return f.nginx(path, 0) }

func (f *files) nginx(path string, depth int) ([]*directive, error) {
	text, err := f.read(path)
	if err != nil {
		return nil, err
	}
	p := nginxParser{scanner: newScanner(path, text), files: f, depth: depth}
	return p.block(nil)
}

type nginxParser struct {
	*scanner
	files *files
	depth int
}

// block reads directives up to the } of the directive that they are in, or to the end of the file.
func (p *nginxParser) block(in *directive) (all []*directive, err error) {
	for {
		if end, err := p.blockEnds(in); end || err != nil {
			return all, err
		}
		if strings.IndexByte("{};", p.peek()) >= 0 {
			return nil, p.unexpected("a directive")
		}
		d, err := p.directive()
		if err != nil {
			return nil, err
		}
		if d.name == "include" && !d.open {
			if len(d.args) != 1 {
				return nil, d.problem("include: want one file, or a pattern of files")
			}
			if isUsual(d.arg(0)) {
				all = append(all, d) // for the parameters that it stands for
				continue
			}
			more, err := p.files.include(d, d.arg(0), p.depth, p.files.nginx)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		all = append(all, d)
	}
}

func isUsual(file string) bool {
	for _, name := range usualIncludes {
		if file == name || strings.HasSuffix(file, "/"+name) || strings.Contains(file, name+"/") {
			return true
		}
	}
	return false
}

// directive reads a directive, with its block.
func (p *nginxParser) directive() (d *directive, err error) {
	d = &directive{path: p.path, at: p.at}
	for {
		p.skipBlanks()
		if p.done() {
			return nil, d.problem("%s: the ; at its end is missing", d)
		}
		switch p.peek() {
		case ';':
			p.next()
			return d, nil
		case '{':
			p.next()
			d.open = true
			if strings.HasSuffix(d.name, "_by_lua_block") {
				return d, p.skipProgram(d)
			}
			d.block, err = p.block(d)
			return d, err
		case '}':
			return nil, d.problem("%s: the ; at its end is missing", d)
		}
		word, err := p.word()
		if err != nil {
			return nil, err
		}
		if d.name == "" {
			d.name = word
		} else {
			d.args = append(d.args, word)
		}
	}
}

func (p *nginxParser) word() (string, error) {
	if c := p.peek(); c == '"' || c == '\'' {
		return p.quoted("\"'\\")
	}
	var b strings.Builder
	for !p.done() {
		c := p.peek()
		if strings.IndexByte(" \t\r\n;", c) >= 0 || c == '{' && !strings.HasSuffix(b.String(), "$") || c == '}' && !strings.Contains(b.String(), "${") {
			break
		}
		p.next()
		if b.WriteByte(c); c == '\\' && !p.done() {
			b.WriteByte(p.next())
		}
	}
	return b.String(), nil
}

// skipProgram takes a block of another language, braces within braces.
func (p *nginxParser) skipProgram(d *directive) error {
	for depth := 1; !p.done(); {
		switch p.next() {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return nil
			}
		}
	}
	return d.problem("%s: the } at its end is missing", d)
}
