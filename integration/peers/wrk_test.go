package main

import (
	"strings"
	"testing"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:8080/bytes/200
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.77ms    1.87ms  31.50ms   83.24%
    Req/Sec    13.60k     1.01k   15.24k    75.00%
  27200 requests in 2.00s, 9.80MB read
Requests/sec:  13593.07
Transfer/sec:      4.90MB
SAMPLE {"requests":27200,"micros":2001032,"bytes":10281600,"connect":1,"read":2,"write":3,"status":4,"timeout":5,"p50":4510,"p99":12340}
`

func TestParseLoad(t *testing.T) {
	got, err := parseLoad([]byte(wrkOutput))
	if err != nil {
		t.Fatal(err)
	}
	want := load{
		Requests: 27200, Micros: 2001032, Bytes: 10281600,
		Connect: 1, Read: 2, Write: 3, Status: 4, Timeout: 5,
		P50: 4510, P99: 12340,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.errors() != 15 {
		t.Errorf("errors() = %d, want 15", got.errors())
	}
}

func TestParseLoadWithoutReport(t *testing.T) {
	for name, out := range map[string]string{
		"nothing":    "",
		"no script":  "unable to connect to 127.0.0.1:8080 Connection refused\n",
		"broken off": `SAMPLE {"requests":27200,"mic`,
	} {
		if got, err := parseLoad([]byte(out)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestCheckRefusesRoundsThatSayNothing(t *testing.T) {
	s := scenario{reply: 200}
	for name, tc := range map[string]struct {
		load load
		want string // in the error; "" for none
	}{
		"good":              {load{Requests: 10, Bytes: 3500}, ""},
		"some refused":      {load{Requests: 10, Status: 4, Bytes: 1500}, ""},
		"nothing came back": {load{Connect: 64}, "no good reply"},
		"all refused":       {load{Requests: 10, Status: 10, Bytes: 3500}, "no good reply"},
		"truncated":         {load{Requests: 10, Bytes: 1990}, "average 199 bytes"},
	} {
		err := tc.load.check(s)
		if tc.want == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: error %v, want %q in it", name, err, tc.want)
		}
	}
}
