package probe

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/fcgi"
	"github.com/sluice-proxy/sluice/bridge/internal/acceptqueue"
	"github.com/sluice-proxy/sluice/bridge/internal/owners"
)

func php() *Report {
	return &Report{
		Address: "unix:/run/php.sock",
		Answer: Answer{
			Status: 404, ContentType: "text/html", Bytes: 107, TookMS: 0.512,
			Stderr: "Primary script unknown", Note: "PHP was not told a script.",
		},
		Owners: Fact[[]owners.Owner]{Known: true, Value: []owners.Owner{
			{PID: 100, Command: "php-fpm8.2", User: "root", Threads: 3},
			{PID: 101, Command: "php-fpm8.2", User: "www-data"},
			{PID: 102, Command: "php-fpm8.2", User: "www-data"},
		}, Reason: "the descriptors of 7 processes may not be looked at"},
		Queue:       known(acceptqueue.Queue{Depth: 2, Backlog: 511, Inodes: []uint64{42}}),
		Values:      map[string]Fact[string]{fcgi.MpxsConns: known("0"), fcgi.MaxConns: known(""), fcgi.MaxReqs: unknown[string]("no answer came in time")},
		AfterValues: known(true),
		KeepAlive:   known(Kept),
		Close:       known(CloseHalf),
		Multiplex:   unknown[Multiplex]("FCGI_MPXS_CONNS is 0" + notTried),
		Capacity:    known(Capacity{Connections: 2, Full: FullWaits, Queued: known(1)}),
		TookMS:      3900,
	}
}

func TestRows(t *testing.T) {
	want := `address: unix:/run/php.sock
protocol: FastCGI
first answer: status 404, text/html, 107 bytes, after 0.5 ms
: PHP was not told a script.
: on STDERR: "Primary script unknown"
process: php-fpm8.2, process 100 (3 threads), user root; php-fpm8.2, process 101 and 1 more, user www-data; there may be more: the descriptors of 7 processes may not be looked at
accept queue: 2 waiting before the probe, backlog 511
FCGI_MPXS_CONNS: 0
FCGI_MAX_CONNS: no value
FCGI_MAX_REQS: not known: no answer came in time
after GET_VALUES: a request on the same connection is answered
keep-alive: honoured: the connection takes further requests
without keep-alive: it closes its sending side and waits until the peer closes
multiplexing: not known: FCGI_MPXS_CONNS is 0, so it was not tried
capacity: 2 connections; one more is not answered until another closes (accept queue then: 1)
idle connections: each occupies a worker while it is kept
took: 3.9 s
`
	var got strings.Builder
	for _, row := range php().Rows() {
		fmt.Fprintf(&got, "%s: %s\n", row.Name, row.Text)
	}
	if got.String() != want {
		t.Errorf("%s\nwant\n%s", &got, want)
	}
}

// What a backend says of itself cannot move the cursor.
func TestRowsAreText(t *testing.T) {
	r := php()
	r.Answer.ContentType, r.Answer.Stderr = "a\x1b[2J", "b\x1b[2J"
	r.Values[fcgi.MaxConns] = known("c\x1b[2J")
	r.Owners.Value[0].Command = "d\x1b[2J"
	for _, row := range r.Rows() {
		if strings.Contains(row.Text, "\x1b") {
			t.Errorf("%s: %q", row.Name, row.Text)
		}
	}
}

// What holds connections in threads that take turns is not tried out: their number says it.
// One process that serves one request at a time is named, so that there can be several.
func TestAdviceByProcesses(t *testing.T) {
	r := php()
	r.KeepAlive, r.Capacity, r.Queue = known(Stalled), unknown[Capacity](""), Fact[acceptqueue.Queue]{}
	r.Owners.Value = []owners.Owner{{PID: 1, Command: "sluice", Threads: 9}, {PID: 2, Command: "app", Threads: 100}}
	if a := r.Advise(Settings{KeepAlive: "on"}); a.Workers != 100 || len(a.Warnings) != 2 ||
		!strings.Contains(a.Warnings[0], "--workers 100 is the number of its threads") || !strings.Contains(a.Warnings[1], "use auto") {
		t.Errorf("%+v", a)
	}
	r.Owners.Value = []owners.Owner{{PID: 2, Command: "app", User: "www", Threads: 2, Arguments: []string{"app", "--fast"}, Dir: "/srv"}}
	if a := r.Advise(Settings{}); a.Workers != DefaultMax || !strings.Contains(a.Warnings[0], "a guess") || a.OneAtATime != nil {
		t.Errorf("%+v", a)
	}
	r.KeepAlive, r.Capacity = known(Kept), known(Capacity{Connections: 1, Full: FullWaits})
	if a := r.Advise(Settings{}); a.Workers != 1 || !reflect.DeepEqual(a.OneAtATime, &Process{[]string{"app", "--fast"}, "/srv", "www"}) {
		t.Errorf("%+v", a)
	}
	r.Owners.Value = append(r.Owners.Value, owners.Owner{PID: 3, Command: "other"})
	if a := r.Advise(Settings{}); !reflect.DeepEqual(a.OneAtATime, &Process{}) {
		t.Errorf("%+v", a)
	}
	r.Answer.Preset = "php"
	if a := r.Advise(Settings{}); a.OneAtATime != nil || a.Preset != "php" {
		t.Errorf("PHP has its own processes: %+v", a)
	}
}

// A backend that others use says so: the capacity is only what they left.
func TestBusyIsSaid(t *testing.T) {
	a := php().Advise(Settings{Workers: 2})
	if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "2 connections waited in the accept queue before the probe began") {
		t.Errorf("%q", a.Warnings)
	}
}

// JSON holds a value exactly where one is known, even if it is zero.
func TestJSON(t *testing.T) {
	r := php()
	r.AfterValues = known(false)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"FCGI_MAX_CONNS":{"known":true,"value":""}`,
		`"FCGI_MAX_REQS":{"known":false,"reason":"no answer came in time"}`,
		`"request_after_get_values":{"known":true,"value":false}`,
		`"accept_queue":{"known":true,"value":{"depth":2,"backlog":511,"inodes":[42]}}`,
		`"capacity":{"known":true,"value":{"connections":2,"full":"waits","queued":{"known":true,"value":1}}}`,
		`"keep_alive":{"known":true,"value":"kept"}`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in\n%s", want, data)
		}
	}
}
