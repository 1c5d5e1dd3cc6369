package watch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Source is the status listener of a gate.
type Source struct {
	addr        string // as the user wrote it
	host        string
	application string // whose state alone is fetched; "": of all
	client      *http.Client
}

// Only has Fetch return the state of one application.
func (s *Source) Only(application string) { s.application = application }

// fetchTimeout is how long the status may take; maxStatus, how large it may be.
const (
	fetchTimeout = 5 * time.Second
	maxStatus    = 64 << 20
)

// NewSource returns the status listener at an address: network is "tcp" or "unix".
func NewSource(text, network, addr string) *Source {
	dialer := &net.Dialer{Timeout: fetchTimeout}
	host := "localhost"
	if network == "tcp" {
		host = addr
	}
	return &Source{addr: text, host: host, client: &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		}},
	}}
}

// Fetch returns the state, and the JSON that it was read from.
func (s *Source) Fetch(ctx context.Context) (*State, []byte, error) {
	path := "/status.json"
	if s.application != "" {
		path += "?application=" + url.QueryEscape(s.application)
	}
	res, text, err := s.ask(ctx, http.MethodGet, path)
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("status of %s: %s: %.200s (is this the --status address of sluice serve?)", s.addr, res.Status, bytes.TrimSpace(text))
	}
	state := new(State)
	if err := json.Unmarshal(text, state); err != nil || state.Gate.Workers == 0 && state.Applications == nil {
		return nil, nil, fmt.Errorf("status of %s: this is no status of sluice (is it the --status address of sluice serve?)", s.addr)
	}
	return state, text, nil
}

// Change asks for a change of what runs, with a POST, and waits for it until ctx ends. It returns
// the answer; a refusal is an error.
func (s *Source) Change(ctx context.Context, path string) (string, error) {
	s.client.Timeout = 0 // a restart takes its time
	res, text, err := s.ask(ctx, http.MethodPost, path)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", errors.New(string(bytes.TrimSpace(text)))
	}
	return string(text), nil
}

// ask returns an answer of the status listener.
func (s *Source) ask(ctx context.Context, method, path string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.host+path, nil)
	if err != nil {
		return nil, nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (does \"sluice serve\" run, with --status %s?)", err, s.addr)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxStatus))
	if err != nil {
		return nil, nil, fmt.Errorf("status of %s: %w", s.addr, err)
	}
	return res, text, nil
}
