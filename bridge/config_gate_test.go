package bridge

import (
	"cmp"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sluice-proxy/sluice/bridge/internal/addresslimit"
	"github.com/sluice-proxy/sluice/bridge/internal/classify"
)

// The address limit of a site, and what its client keys are made from.
func TestClientKeySettings(t *testing.T) {
	cfg := Config{
		ApplicationConfig: ApplicationConfig{Backends: []string{"unix:/a"}},
		SiteConfig:        SiteConfig{Client: ClientConfig{Key: "cookie sid", MaxAddresses: 3, Per: Duration(5 * time.Minute), Excess: Evict}},
	}
	h, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	source, err := classify.ParseKeySource("cookie sid")
	if err != nil {
		t.Fatal(err)
	}
	if want := (addresslimit.Rule{Most: 3, Per: 5 * time.Minute, Evict: true}); h.joined.Limit != want || h.cfg.keySource != source {
		t.Errorf("limit %+v, client keys from %+v", h.joined.Limit, h.cfg.keySource)
	}
}

// An error begins with the key, and says what is wanted.
func TestBadGateConfig(t *testing.T) {
	for _, c := range []struct {
		begin string
		cfg   Config
	}{
		{`lanes: is "maybe", want on or off`, Config{ApplicationConfig: ApplicationConfig{Lanes: "maybe"}}},
		{`lanes: is "auto", want on or off`, Config{ApplicationConfig: ApplicationConfig{Lanes: Auto}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{"/poll", "poll"}}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{"/poll?wait=1"}}}},
		{"long_poll:", Config{SiteConfig: SiteConfig{LongPoll: []string{""}}}},
		{`long_poll: "/a%20b": can match nothing`, Config{SiteConfig: SiteConfig{LongPoll: []string{"/a%20b"}}}},
		{`long_poll: "/data/poll": can match nothing, hide`, Config{SiteConfig: SiteConfig{Hide: []string{"/data"}, LongPoll: []string{"/database", "/data*", "*", "/data/poll"}}}},
		{`long_poll: "/data/x*": can match nothing, hide`, Config{SiteConfig: SiteConfig{Hide: []string{"/data"}, LongPoll: []string{"/data/x*"}}}},
		{`long_poll: "/wiki/data/x": can match nothing, hide`, Config{SiteConfig: SiteConfig{Mount: "/wiki", Hide: []string{"/data"}, LongPoll: []string{"/wiki/data/x"}}}},
		{"reserve: is -1, want 0 to 3", Config{ApplicationConfig: ApplicationConfig{Reserve: new(-1)}}},
		{"reserve: is 4, want 0 to 3", Config{ApplicationConfig: ApplicationConfig{Reserve: new(4)}}},
		{"queue.size:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Size: -1}}}},
		{"queue.long_size:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{LongSize: -1}}}},
		{"queue.timeout:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Timeout: -1}}}},
		{"queue.long_timeout:", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{LongTimeout: -1}}}},
		{"queue.poll_answer.status: is not set", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Body: "[]"}}}},
		{"queue.poll_answer.status: is not set", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{ContentType: "text/plain"}}}},
		{"queue.poll_answer.status: is 100, want 200 to 599", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 100}}}},
		{"queue.poll_answer.body:", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 204, Body: "[]"}}}},
		{"queue.poll_answer.content_type:", Config{SiteConfig: SiteConfig{PollAnswer: PollAnswer{Status: 200, ContentType: "a\r\nb"}}}},
		{"client.key:", Config{SiteConfig: SiteConfig{Client: ClientConfig{Key: "ip"}}}},
		{"client.limit:", Config{ApplicationConfig: ApplicationConfig{ClientLimit: -1}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: -1}}}},
		{"client.per: means nothing without", Config{SiteConfig: SiteConfig{Client: ClientConfig{Per: Duration(time.Minute)}}}},
		{"client.excess: means nothing without", Config{SiteConfig: SiteConfig{Client: ClientConfig{Excess: Evict}}}},
		{`client.max_addresses: client.key is "auto"`, Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1}}}},
		{"long_poll: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off}, SiteConfig: SiteConfig{LongPoll: []string{"/poll"}}}},
		{"reserve: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off, Reserve: new(1)}}},
		{"client.limit: means nothing in a plain queue", Config{ApplicationConfig: ApplicationConfig{Lanes: Off, ClientLimit: 1}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "client"}}}},
		{"client.max_addresses:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "off"}}}},
		{"client.per:", Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "user", Per: -1}}}},
		{`client.excess: is "kill", want refuse or evict`, Config{SiteConfig: SiteConfig{Client: ClientConfig{MaxAddresses: 1, Key: "user", Excess: "kill"}}}},
		{"admission.long_after:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongAfter: -1}}}},
		{"admission.stall_after:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{StallAfter: -1}}}},
		{"admission.wait_target:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{WaitTarget: -1}}}},
		{"admission.unknown:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{Unknown: -1}}}},
		{"admission.unknown:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{Unknown: 5}}}},
		{"admission.long_min:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongMin: new(-1)}}}},
		{"admission.long_min: is 3, want 0 to 2", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{LongMin: new(3)}}}},
		{"admission.client_rate:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientRate: -1}}}},
		{"admission.client_rate:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientRate: math.NaN()}}}},
		{"admission.client_burst:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientBurst: -1}}}},
		{"admission.client_burst:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientBurst: math.Inf(1)}}}},
		{"admission.spent_limit:", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{SpentLimit: -1}}}},
		{"admission.spent_limit: is 3, want at most client.limit", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{SpentLimit: 3}}}},
		{"admission.client_rate: is 1e+09, want less than 1e+09", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientRate: 1e9}}}},
		{"admission.client_burst: is 1e+10, want less than 1e+09", Config{ApplicationConfig: ApplicationConfig{Admission: AdmissionConfig{ClientBurst: 1e10}}}},
		{"queue.size: is 1073741825, want at most 1073741824", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{Size: 1<<30 + 1}}}},
		{"queue.long_size: is 1073741825, want at most 1073741824", Config{ApplicationConfig: ApplicationConfig{Queue: QueueConfig{LongSize: 1<<30 + 1}}}},
		{"workers: is 9223372036854775807, want at most 1000000000", Config{ApplicationConfig: ApplicationConfig{Workers: math.MaxInt}}},
		{"reserve: is 1, want 0: there is one worker", Config{ApplicationConfig: ApplicationConfig{Workers: 1, Reserve: new(1)}}},
	} {
		c.cfg.Backends, c.cfg.Workers = []string{"unix:/run/app.sock"}, cmp.Or(c.cfg.Workers, 4)
		b, err := New(t.Context(), c.cfg)
		if err == nil {
			b.Close()
			t.Errorf("%s: no error", c.begin)
			continue
		}
		if !strings.HasPrefix(err.Error(), c.begin) {
			t.Errorf("error %q does not begin with %q", err, c.begin)
		}
	}
}
