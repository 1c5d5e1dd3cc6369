package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-proxy/sluice/bridge"
)

// gateOptions are the flags about who may start, who waits and who is refused.
type gateOptions struct {
	lanes    string
	longPoll []string
	reserve  optionalInt

	queueSize, queueLongSize       int
	queueTimeout, queueLongTimeout duration
	pollStatus                     int
	pollType, pollBody             string

	flowKey, flowExcess string
	flowLimit           int
	flowAddresses       addressLimit

	longAfter, stallAfter duration
}

func (o *gateOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.lanes, "lanes", "on", "on: slow requests are told from fast ones and never take the last workers; off: one queue, first come, first served")
	f.StringArrayVar(&o.longPoll, "long-poll", nil, "`PATH` that is known to be answered late, * for any run of characters; others are found out; may be given several times")
	f.Var(&o.reserve, "reserve", "how many workers slow requests never take, of all backends together (default a quarter)")

	f.IntVar(&o.queueSize, "queue-size", 256, "how many short requests may wait for a worker")
	f.IntVar(&o.queueLongSize, "queue-long-size", 10000, "how many slow ones may")
	for _, d := range []struct {
		to    *duration
		name  string
		value time.Duration
		usage string
	}{
		{&o.queueTimeout, "queue-timeout", 3 * time.Second, "how long a short request may wait for a worker"},
		{&o.queueLongTimeout, "queue-long-timeout", 20 * time.Second, "how long a slow one may"},
		{&o.longAfter, "long-after", time.Second, "how long a request runs before it counts as slow"},
		{&o.stallAfter, "stall-after", time.Second, "how long no short request may end before the application counts as stalled"},
	} {
		*d.to = duration(d.value)
		f.Var(someDuration{d.to}, d.name, d.usage)
	}
	f.IntVar(&o.pollStatus, "poll-answer-status", 0, "`STATUS` for long-polls that are refused, instead of 503")
	f.StringVar(&o.pollType, "poll-answer-type", "", "its content `TYPE` (default text/plain; charset=utf-8)")
	f.StringVar(&o.pollBody, "poll-answer-body", "", "its body, `TEXT`")

	f.StringVar(&o.flowKey, "flow-key", "auto", "who a request is from: `KEY` is 'cookie NAME', 'header NAME', user, client (its address), off, or auto: a well-known session cookie, else the address")
	f.IntVar(&o.flowLimit, "flow-limit", 0, "how many short requests one of them may have in flight (default a quarter of the workers, at least 2)")
	f.Var(&o.flowAddresses, "flow-max-addresses", "from how many addresses one may come, such as \"3 per 10m\" (default no limit)")
	f.StringVar(&o.flowExcess, "flow-excess", "", "what becomes of one address more: refuse, or evict the one that was not seen for longest (default refuse)")
}

func (o *gateOptions) check() error {
	switch {
	case o.queueSize < 1:
		return fmt.Errorf("--queue-size %d: want at least 1", o.queueSize)
	case o.queueLongSize < 1:
		return fmt.Errorf("--queue-long-size %d: want at least 1", o.queueLongSize)
	}
	return nil
}

// into sets what the flags are about.
func (o *gateOptions) into(c *bridge.Config) {
	c.Lanes, c.LongPoll, c.Reserve = bridge.Switch(o.lanes), o.longPoll, o.reserve.value
	c.Queue = bridge.QueueConfig{
		Size: o.queueSize, LongSize: o.queueLongSize,
		Timeout: bridge.Duration(o.queueTimeout), LongTimeout: bridge.Duration(o.queueLongTimeout),
		PollAnswer: bridge.PollAnswer{Status: o.pollStatus, ContentType: o.pollType, Body: o.pollBody},
	}
	c.Flow = bridge.FlowConfig{
		Key: o.flowKey, Limit: o.flowLimit,
		MaxAddresses: o.flowAddresses.most, Per: bridge.Duration(o.flowAddresses.per), Excess: bridge.Excess(o.flowExcess),
	}
	c.Admission.LongAfter, c.Admission.StallAfter = bridge.Duration(o.longAfter), bridge.Duration(o.stallAfter)
}

// optionalInt is a flag that need not be given.
type optionalInt struct{ value *int }

func (i *optionalInt) Type() string { return "int" }

func (i *optionalInt) String() string {
	if i.value == nil {
		return ""
	}
	return strconv.Itoa(*i.value)
}

func (i *optionalInt) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return errors.New("not a number")
	}
	i.value = &n
	return nil
}

// addressLimit is a flag such as "3 per 10m".
type addressLimit struct {
	most int // 0: no limit
	per  duration
}

func (l *addressLimit) Type() string { return "LIMIT" }

func (l *addressLimit) String() string {
	if l.most == 0 {
		return ""
	}
	return fmt.Sprintf("%d per %v", l.most, time.Duration(l.per))
}

func (l *addressLimit) Set(text string) error {
	number, window, ok := strings.Cut(text, " per ")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if !ok || err != nil || n < 1 {
		return errors.New(`want a number and a time, such as "3 per 10m"`)
	}
	l.most = n
	return someDuration{&l.per}.Set(strings.TrimSpace(window))
}
