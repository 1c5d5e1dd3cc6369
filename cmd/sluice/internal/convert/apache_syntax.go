package convert

import (
	"regexp"
	"strings"
)

// Apache's files: a directive on each line, and sections between tags.

func parseApache(f *files, path string) ([]*directive, error) {
	p := &apacheParser{files: f, defined: map[string]string{}}
	all, err := p.file(path, 0)
	if err != nil {
		return nil, err
	}
	main, virtual := apart(all)
	return all, taken(virtual, main)
}

type apacheParser struct {
	files   *files
	defined map[string]string // of Define
}

func (p *apacheParser) file(path string, depth int) ([]*directive, error) {
	text, err := p.files.read(path)
	if err != nil {
		return nil, err
	}
	s := newScanner(path, text)
	root := &directive{path: path}
	if err := p.lines(s, root, depth); err != nil {
		return nil, err
	}
	return root.block, nil
}

// lines reads directives up to the end tag of a section, or the end of the file.
func (p *apacheParser) lines(s *scanner, in *directive, depth int) error {
	for {
		for !s.done() && strings.IndexByte(" \t\r\n", s.peek()) >= 0 {
			s.next()
		}
		if s.done() {
			if in.name != "" {
				return in.problem("<%s>: the </%s> at its end is missing", in, in.name)
			}
			return nil
		}
		at := s.at
		line := s.skipLine()
		for strings.HasSuffix(strings.TrimSuffix(line, "\r"), `\`) && !s.done() {
			s.next()
			line = strings.TrimSuffix(strings.TrimSuffix(line, "\r"), `\`) + " " + s.skipLine()
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		d := &directive{path: s.path, at: at}
		tag, isTag := strings.CutPrefix(line, "<")
		if isTag {
			if !strings.HasSuffix(tag, ">") {
				return s.problem(at, line+": the > at its end is missing")
			}
			line = strings.TrimSuffix(tag, ">")
		}
		if end, ok := strings.CutPrefix(line, "/"); isTag && ok {
			if !strings.EqualFold(strings.TrimSpace(end), in.name) {
				return s.problem(at, "</"+end+">: is the end of no section; the open one is <"+in.String()+">")
			}
			return nil
		}
		words, err := p.words(s, d, line)
		if err != nil {
			return err
		}
		d.name, d.args, d.open = words[0], words[1:], isTag
		if err := p.add(s, in, d, depth); err != nil {
			return err
		}
	}
}

// add appends a directive to a section: of those that only ask for a module, what is in them.
func (p *apacheParser) add(s *scanner, in, d *directive, depth int) error {
	switch strings.ToLower(d.name) {
	case "include", "includeoptional":
		if d.open || len(d.args) != 1 {
			return d.problem("%s: want one file, or a pattern of files", d.name)
		}
		all, err := p.files.include(d, d.arg(0), depth, p.file)
		in.block = append(in.block, all...)
		return err
	case "define":
		p.defined[d.arg(0)] = d.arg(1)
		return nil
	case "undefine":
		delete(p.defined, d.arg(0))
		return nil
	}
	if !d.open {
		in.block = append(in.block, d)
		return nil
	}
	if err := p.lines(s, d, depth); err != nil {
		return err
	}
	switch _, defined := p.defined[strings.TrimPrefix(d.arg(0), "!")]; strings.ToLower(d.name) {
	case "ifmodule", "ifversion", "requireany", "requireall":
		if !strings.HasPrefix(d.arg(0), "!") && d.arg(0) != "<" {
			in.block = append(in.block, d.block...)
		}
	case "ifdefine":
		if defined != strings.HasPrefix(d.arg(0), "!") {
			in.block = append(in.block, d.block...)
		}
	default:
		in.block = append(in.block, d)
	}
	return nil
}

var apacheVariable = regexp.MustCompile(`\$\{(\w+)\}`)

// words divides a line. ${NAME} is what Define has said.
func (p *apacheParser) words(s *scanner, d *directive, line string) (words []string, err error) {
	line = apacheVariable.ReplaceAllStringFunc(line, func(text string) string {
		if value, ok := p.defined[text[2:len(text)-1]]; ok {
			return value
		}
		return text
	})
	in := newScanner(s.path, line)
	for {
		for !in.done() && (in.peek() == ' ' || in.peek() == '\t') {
			in.next()
		}
		if in.done() {
			break
		}
		if c := in.peek(); c == '"' || c == '\'' {
			at := d.at
			at.Column += in.i
			text, err := in.quoted("\"'")
			if err != nil {
				return nil, s.problem(at, string(c)+": the end of these quotes is missing")
			}
			words = append(words, text)
			continue
		}
		start := in.i
		for !in.done() && in.peek() != ' ' && in.peek() != '\t' {
			in.next()
		}
		words = append(words, line[start:in.i])
	}
	if len(words) == 0 {
		return nil, s.problem(d.at, "<>: a section without a name")
	}
	return words, nil
}
