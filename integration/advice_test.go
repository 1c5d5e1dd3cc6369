package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// adviceInMessage are the warnings whose message itself says what to do, or that nothing is to be
// done.
var adviceInMessage = []string{
	"the application answers again",
	"the command serves again",
	"a killed process had left this behind; it is removed",
	"passwords are sent unencrypted: there is no TLS on this address; listen on 127.0.0.1 or a unix socket behind a proxy with TLS, and name the proxy with ", // what it is called follows
	"a request to the status listener had an unknown host; if it is a name of this server, add ",
	"every user of this machine can pass for the proxy that ",
	"every user of this machine can pass for the web server, and for any user and address; ", // who may connect follows
	"systemd has handed over sockets that nothing listens at; name them in ",
	"a setting of [server] has changed, and needs a new start of sluice serve; until then the former value is in force",
	"every user of this machine can pass for the web server, and for any user and address; the mode |0660 and socket_group say who may connect",
	"whoever can connect to this address can pass for the web server, and for any user and address; listen on 127.0.0.1 or a unix socket, or let a firewall admit the web server alone",
	"log-in failed: no such user", // filters such as fail2ban's read these two
	"log-in failed: wrong password",
	"a setting has a new name: ",
	"sluice: a setting has a new name: ",
	"a setting has no effect: ",
}

// Every warning and error says what to do about it: as advice or remedy, or in its message.
func TestWarningsAdvise(t *testing.T) {
	checked, inMessage := 0, make(map[string]bool)
	for _, root := range []string{"../bridge", "../cmd", "../caddyplugin"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isWarning(call) {
					return true
				}
				texts := literals(call)
				if len(texts) == 0 {
					return true // the message is a variable: the caller has said the rest
				}
				checked++
				switch {
				case slices.Contains(texts, "advice"), slices.Contains(texts, "remedy"):
				case slices.Contains(adviceInMessage, texts[0]):
					inMessage[texts[0]] = true
				default:
					t.Errorf("%s: %q does not say what to do", path, texts[0])
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked < 50 {
		t.Errorf("only %d warnings were found", checked)
	}
	for _, m := range adviceInMessage {
		if !inMessage[m] {
			t.Errorf("%q is logged nowhere", m)
		}
	}
}

// isWarning reports whether a call logs a warning or an error.
func isWarning(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if pkg, ok := method.X.(*ast.Ident); ok && (pkg.Name == "http" || pkg.Name == "caddyhttp") {
		return false
	}
	if method.Sel.Name == "Warn" || method.Sel.Name == "Error" {
		return len(call.Args) > 0
	}
	if method.Sel.Name != "Log" && method.Sel.Name != "LogAttrs" && method.Sel.Name != "log" {
		return false
	}
	return slices.ContainsFunc(call.Args, func(arg ast.Expr) bool {
		level, ok := arg.(*ast.SelectorExpr)
		return ok && (level.Sel.Name == "LevelWarn" || level.Sel.Name == "LevelError")
	})
}

// literals are the strings in the arguments of a call.
func literals(call *ast.CallExpr) (list []string) {
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					list = append(list, text)
				}
			}
			return true
		})
	}
	return list
}
