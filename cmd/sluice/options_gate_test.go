package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// configOf is what a command line comes to.
func configOf(t *testing.T, args ...string) bridge.Config {
	t.Helper()
	var o options
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse(append([]string{"--backend", "unix:/run/app.sock"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := o.complete(nil); err != nil {
		t.Fatal(err)
	}
	return o.bridge()
}

// Without flags the gate has the bridge's own defaults, which the help text states.
func TestGateFlagDefaults(t *testing.T) {
	got := configOf(t)
	want := bridge.ApplicationConfig{
		Lanes: bridge.On,
		Queue: bridge.QueueConfig{
			Size: 256, LongSize: 10000,
			Timeout: bridge.Duration(3 * time.Second), LongTimeout: bridge.Duration(20 * time.Second),
		},
		Admission: bridge.AdmissionConfig{
			LongAfter: bridge.Duration(time.Second), StallAfter: bridge.Duration(time.Second), WaitTarget: bridge.Duration(100 * time.Millisecond),
		},
	}
	if got.Lanes != want.Lanes || got.Reserve != nil || got.LongPoll != nil || got.Queue != want.Queue || got.Flow != (bridge.FlowConfig{Key: "auto"}) ||
		!reflect.DeepEqual(got.Admission, want.Admission) {
		t.Errorf("%+v", got)
	}
}

func TestGateFlags(t *testing.T) {
	got := configOf(t, "--long-poll", "/poll*", "--long-poll", "/a,b", "--reserve", "0",
		"--queue-size", "1", "--queue-long-size", "2", "--queue-timeout", "3ms", "--queue-long-timeout", "4ms",
		"--poll-answer-status", "200", "--poll-answer-type", "application/json", "--poll-answer-body", "[]",
		"--flow-key", "cookie sid", "--flow-limit", "5", "--flow-max-addresses", "3 per 10m", "--flow-excess", "evict",
		"--long-after", "6ms", "--stall-after", "7ms")
	if !reflect.DeepEqual(got.LongPoll, []string{"/poll*", "/a,b"}) || got.Reserve == nil || *got.Reserve != 0 {
		t.Errorf("%+v", got)
	}
	ms := bridge.Duration(time.Millisecond)
	if want := (bridge.QueueConfig{
		Size: 1, LongSize: 2, Timeout: 3 * ms, LongTimeout: 4 * ms,
	}); got.Queue != want {
		t.Errorf("%+v, want %+v", got.Queue, want)
	}
	if want := (bridge.PollAnswer{Status: 200, ContentType: "application/json", Body: "[]"}); got.PollAnswer != want {
		t.Errorf("%+v, want %+v", got.PollAnswer, want)
	}
	if want := (bridge.FlowConfig{Key: "cookie sid", MaxAddresses: 3, Per: bridge.Duration(10 * time.Minute), Excess: bridge.Evict}); got.Flow != want || got.FlowLimit != 5 {
		t.Errorf("%+v, want %+v", got.Flow, want)
	}
	if got.Admission.LongAfter != 6*ms || got.Admission.StallAfter != 7*ms {
		t.Errorf("%+v", got.Admission)
	}
}

// The access log says what the gate made of a request, where there is something to say.
func TestAccessLogOfTheGate(t *testing.T) {
	for _, c := range []struct {
		outcome bridge.Outcome
		lane    any
		refused any
	}{
		{bridge.Outcome{Status: 200, Lane: "short"}, "short", nil},
		{bridge.Outcome{Status: 503, Lane: "long", Refused: "timeout", ErrorType: "connection_limit_reached"}, "long", "timeout"},
		{bridge.Outcome{Status: 429, Refused: "addresses", ErrorType: "http_request_denied"}, nil, "addresses"},
		{bridge.Outcome{Status: 413}, nil, nil},
	} {
		var log bytes.Buffer
		newAccessLog(&log).observe(httptest.NewRequest("GET", "/poll", nil), &c.outcome)
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line["lane"] != c.lane || line["refused"] != c.refused {
			t.Errorf("%+v: %s", c.outcome, &log)
		}
	}
}
