package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// load is what wrk saw in one round. Times are in microseconds.
type load struct {
	Requests int64
	Micros   int64
	Bytes    int64
	Connect  int64
	Read     int64
	Write    int64
	Status   int64
	Timeout  int64
	P50      int64
	P99      int64
}

func (l load) errors() int64 { return l.Connect + l.Read + l.Write + l.Status + l.Timeout }

func (l load) perSecond() float64 { return float64(l.Requests) / (float64(l.Micros) / 1e6) }

// runWrk puts load on url for d.
func runWrk(ctx context.Context, script, url string, connections int, d time.Duration) (load, error) {
	cmd := exec.CommandContext(ctx, "wrk",
		"--threads", "1",
		"--connections", strconv.Itoa(connections),
		"--duration", strconv.Itoa(int(d/time.Second))+"s",
		"--timeout", "10s",
		"--script", script,
		url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return load{}, context.Cause(ctx)
	}
	if err != nil {
		return load{}, fmt.Errorf("wrk %s: %w: %s", url, err, lastLine(out))
	}
	return parseLoad(out)
}

// parseLoad finds the script's line in what wrk printed.
func parseLoad(out []byte) (load, error) {
	for line := range bytes.Lines(out) {
		text, ok := bytes.CutPrefix(line, []byte(sampleMark))
		if !ok {
			continue
		}
		var l load
		if err := json.Unmarshal(text, &l); err != nil {
			return load{}, fmt.Errorf("wrk's report %q: %w", text, err)
		}
		return l, nil
	}
	return load{}, fmt.Errorf("wrk printed no report: %s", lastLine(out))
}

// check refuses rounds whose figures would say nothing: no replies, or replies
// that cannot have been the application's.
func (l load) check(s scenario) error {
	good := l.Requests - l.Status
	if good <= 0 {
		return fmt.Errorf("no good reply in %d requests (%d errors)", l.Requests, l.errors())
	}
	if short := l.Bytes / l.Requests; l.Status == 0 && short < int64(s.reply) {
		return fmt.Errorf("replies average %d bytes, the application sent %d", short, s.reply)
	}
	return nil
}

// oneLine puts a message of several lines, as compilers print them, into one.
func oneLine(out []byte) string {
	return string(bytes.Join(bytes.Fields(out), []byte(" ")))
}

// lastLine is where programs say what ended them.
func lastLine(out []byte) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.TrimSpace(lines[len(lines)-1]))
}
