//go:build linux

package integration

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/protocols.md anew")

// TestMatrix puts applications of every protocol behind every way in, and checks each pair: the
// table of docs/protocols.md. What is not "yes" there is in exceptions.
func TestMatrix(t *testing.T) {
	m := newMatrix(t)
	t.Run("beside each other", func(t *testing.T) {
		m.eachApp(func(app *matrixApp) {
			var all sync.WaitGroup
			for _, in := range m.ins {
				all.Go(func() {
					for _, c := range matrixChecks {
						if c.beside != nil {
							m.check(t, c.name, in, app, func(t *testing.T) string {
								s := in.site(t, app, c.name == early)
								if resp, _ := s.do(t, s.request(t, http.MethodGet, "/hello", nil)); resp.Proto != in.proto {
									t.Errorf("the answer is in %s, want %s", resp.Proto, in.proto)
								}
								return c.beside(t, s)
							})
						}
					}
				})
			}
			all.Wait()
		})
	})
	t.Run("alone", func(t *testing.T) {
		m.eachApp(func(app *matrixApp) {
			for _, in := range m.ins {
				m.check(t, leaves, in, app, func(t *testing.T) string { return matrixLeaves(t, in, app) })
			}
			m.killed(t, app)
		})
	})
	if t.Failed() || len(m.results) < len(matrixChecks)*len(m.ins)*len(m.apps) {
		return // or -run has chosen some of them
	}
	const file = "../docs/protocols.md"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- matrix -->\n", "<!-- end -->"
	before, rest, found := strings.Cut(string(data), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("there is no %q in %s", begin, file)
	}
	text := before + begin + m.table() + end + after
	switch {
	case text == string(data):
	case !*update:
		t.Errorf("%s is not what was found: go test ./integration -run TestMatrix -update", file)
	default:
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// exception is what differs from "yes", and why. An empty way in or application stands for all.
type exception struct{ check, in, app, result, why string }

// exceptions are searched in this order.
var exceptions = []exception{
	{leaves, "lighttpd", "", "no", noticed},
	{leaves, "Apache", "", "no", noticed},
	{early, "", "SCGI", "no", "The SCGI application here reads the whole body before it begins."},
	{early, "Apache", "", notAlways, "Apache sees the answer only if it comes before Apache waits for more of the body."},
	{killing, "lighttpd", "", notAlways, "lighttpd 1.4.69 takes the end of the connection for the end of an answer without a length, with `stream-response-body = 1` not always."},
	{killing, "", "SCGI", "no", ended},
	{killing, "", "uwsgi", "no", ended},
	{headers, "nginx", "", "500", "nginx sends no more than 65,535 bytes of variables."},
	{headers, "lighttpd", "", "400", "lighttpd takes no more than 64 KiB of header fields, whatever `server.max-request-field-size` is."},
	{headers, "", "uwsgi", "431", "uwsgi cannot carry more than 65,535 bytes of variables."},
}

const (
	// notAlways is the result of a check that was seen to end in both ways.
	notAlways = "not always"

	noticed = "lighttpd and Apache notice that a client has left only when they have something to send to it."
	ended   = "In SCGI and uwsgi, the end of the connection is the end of the answer, and the kernel closes that of a killed process as if it were done."
)

// find returns the first exception for a cell, or a "yes".
func find(check, in, app string) exception {
	for _, e := range exceptions {
		if e.check == check && (e.in == "" || e.in == in) && (e.app == "" || e.app == app) {
			return e
		}
	}
	return exception{result: "yes"}
}

// matrix has all servers running, and what the checks have found.
type matrix struct {
	ins  []*matrixIn
	apps []*matrixApp

	mu      sync.Mutex
	results map[[3]string]string // of a check, a way in and an application
}

// eachApp runs f for all applications at once.
func (m *matrix) eachApp(f func(*matrixApp)) {
	var all sync.WaitGroup
	for _, app := range m.apps {
		all.Go(func() { f(app) })
	}
	all.Wait()
}

// check runs a check as a subtest.
func (m *matrix) check(t *testing.T, check string, in *matrixIn, app *matrixApp, f func(*testing.T) string) {
	t.Run(fmt.Sprintf("%s/%s/%s", in.name, app.name, check), func(t *testing.T) {
		got, want := f(t), find(check, in.name, app.name).result
		if want == notAlways && (got == "yes" || got == "no") {
			got = want
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.results[[3]string{check, in.name, app.name}] = got
	})
}

// table has a row for each check and a column for each way in, and then the reasons of what is
// not "yes".
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("| |")
	for _, in := range m.ins {
		b.WriteString(" " + in.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(m.ins)) + "\n")
	for _, c := range matrixChecks {
		b.WriteString("| " + c.name + " |")
		for _, in := range m.ins {
			b.WriteString(" " + m.cell(c.name, in.name) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, e := range exceptions {
		if i == 0 || e.why != exceptions[i-1].why {
			b.WriteString("- " + e.why + "\n")
		}
	}
	return b.String()
}

// cell is one word if it is the same for all applications.
func (m *matrix) cell(check, in string) string {
	var words []string
	apps := map[string][]string{}
	for _, app := range m.apps {
		word := m.results[[3]string{check, in, app.name}]
		if !slices.Contains(words, word) {
			words = append(words, word)
		}
		apps[word] = append(apps[word], app.name)
	}
	if len(words) == 1 {
		return words[0]
	}
	for i, word := range words {
		words[i] = word + ": " + strings.Join(apps[word], ", ")
	}
	return strings.Join(words, "; ")
}
