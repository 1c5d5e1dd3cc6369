package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What docs/architecture.md names exists: packages and files by their path, types, functions
// and methods as package.Name or package.Type.Method. In its pictures, what looks like one of
// these is checked, too.
func TestArchitectureNamesWhatExists(t *testing.T) {
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := declarations(t)
	pathOrName := regexp.MustCompile(`^[a-z]+(/[a-z_.]+)+$|^[a-z]+\.[A-Za-z]+(\.[A-Za-z]+)?$`)
	checked := 0
	for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		name := span[1]
		if !pathOrName.MatchString(name) {
			continue
		}
		checked++
		if strings.Contains(name, "/") {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("`%s`: %v", name, err)
			}
		} else if !declared[name] {
			t.Errorf("`%s` is declared nowhere", name)
		}
	}
	checked += wantDeclared(t, declared, string(text))
	if checked < 60 {
		t.Errorf("%d names were found: is the page read as it should be?", checked)
	}
}

// So do the exported names of this module's packages that other pages have in code.
func TestPagesNameWhatExists(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	declared, checked := declarations(t), 0
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllString(string(text), -1) {
				checked += wantDeclared(t, declared, span)
			}
		})
	}
	if checked < 20 {
		t.Errorf("%d names were found: are the pages read as they should be?", checked)
	}
}

// wantDeclared checks the exported names in text that are written as names of this module's
// packages, and returns how many there are.
func wantDeclared(t *testing.T, declared map[string]bool, text string) (checked int) {
	t.Helper()
	packages := make(map[string]bool)
	for name := range declared {
		pkg, _, _ := strings.Cut(name, ".")
		packages[pkg] = true
	}
	for _, name := range regexp.MustCompile(`\b[a-z]+\.[A-Z][A-Za-z]+(\.[A-Z][A-Za-z]+)?\b`).FindAllString(text, -1) {
		if pkg, _, _ := strings.Cut(name, "."); packages[pkg] {
			checked++
			if !declared[name] {
				t.Errorf("%s is declared nowhere", name)
			}
		}
	}
	return checked
}

// declarations are the types, functions, methods and values of the module's packages.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				declared[f.Name.Name+"."+receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						declared[f.Name.Name+"."+s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							declared[f.Name.Name+"."+n.Name] = true
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return declared
}

// receiver is the type of a method and a dot, "" of a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}
