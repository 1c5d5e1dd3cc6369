package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// texts are the string literals of the programs, with those that are added up as one.
func texts(t *testing.T) (all []string) {
	t.Helper()
	files := token.NewFileSet()
	for _, root := range []string{"../bridge", "../cmd/sluice"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						all = append(all, text)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What docs/troubleshooting.md quotes is what Sluice says. "..." stands for what differs.
func TestQuotedMessages(t *testing.T) {
	said := texts(t)
	says := func(part string) bool {
		for _, text := range said {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	checked := 0
	check := func(file, quote string) {
		for part := range strings.SplitSeq(quote, "...") {
			part = strings.TrimSpace(part)
			if len(part) < 4 {
				continue
			}
			checked++
			if !says(part) {
				t.Errorf("%s quotes %q, of which no program says %q", file, quote, part)
			}
		}
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(readDoc(t, "troubleshooting.md")) {
		// Messages are sentences or have several words; settings, commands and files have none of a setting's signs.
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			if strings.HasPrefix(line, "| ") && len(strings.Fields(m[1])) > 2 && !isCommand(m[1]) {
				check("troubleshooting.md", m[1])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d quotations were found", checked)
	}
}

// isCommand tells what is typed or configured from what is read.
func isCommand(text string) bool {
	return regexp.MustCompile(`^(sluice|systemctl|htpasswd|journalctl) |=`).MatchString(text) || text == "Read-only file system"
}

// Every page is in the index, and every link within the documentation leads somewhere.
func TestIndexOfDocumentation(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			switch _, err := os.Stat(target); {
			case err != nil:
				t.Errorf("%s: %s leads nowhere", path, m[0])
			case m[2] != "" && strings.HasSuffix(target, ".md") && !hasHeading(t, target, m[2][1:]):
				t.Errorf("%s: there is no %s in %s", path, m[2], target)
			case strings.HasSuffix(target, ".md"):
				visit(target)
			}
		}
	}
	visit("../docs/README.md")
	for _, pattern := range []string{"../docs/*.md", "../docs/recipes/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			if !seen[page] {
				t.Errorf("no link leads to %s", page)
			}
		}
	}
}

var notInAnchors = regexp.MustCompile("[^a-z0-9 _-]")

// hasHeading reports whether a page has a heading with that anchor.
func hasHeading(t *testing.T, path, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		heading = notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(heading, " ", "-") == anchor {
			return true
		}
	}
	return false
}
