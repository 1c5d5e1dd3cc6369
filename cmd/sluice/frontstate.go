package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/cgiserver"
	"github.com/sluice-proxy/sluice/bridge/page"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/certs"
	"github.com/sluice-proxy/sluice/cmd/sluice/internal/connlimit"
)

// snapshot is the JSON of the status listener if there is one application, by flags or by name.
type snapshot struct {
	bridge.Snapshot
	Findings []page.Finding    `json:"findings"` // what is the matter, as the page says it, the most important first
	Front    judgedFront       `json:"front"`
	Requests []requestSnapshot `json:"requests"` // those that hold a worker, the oldest first, requestsShown at most
}

// snapshots is the JSON of the status listener with a configuration file.
type snapshots struct {
	Applications []applicationSnapshot `json:"applications"`
	Front        judgedFront           `json:"front"`
}

// applicationSnapshot is the state of one of the applications.
type applicationSnapshot struct {
	Name string `json:"name"`
	bridge.Snapshot
	Findings []page.Finding    `json:"findings"`
	Requests []requestSnapshot `json:"requests"`
}

// snapshotOf returns the state of the application with that name, or of all. live has the history.
func (s *server) snapshotOf(name string, front func() frontSnapshot, live *page.Page) (any, error) {
	g := s.front.current.Load()
	now := front()
	all := snapshots{Applications: []applicationSnapshot{}, Front: judgedFront{now, page.FrontFindings(now.page())}}
	unknown := &unknownApplication{name: name}
	for _, a := range g.applications() {
		unknown.known = append(unknown.known, a.name)
		state := a.Application.Application()
		switch {
		case name != "" && name != a.name:
		case g.path == "" || name != "":
			return snapshot{state.Snapshot(), live.Findings(a.onPage(g)), all.Front, requestSnapshots(state)}, nil
		default:
			all.Applications = append(all.Applications, applicationSnapshot{a.name, state.Snapshot(), live.Findings(a.onPage(g)), requestSnapshots(state)})
		}
	}
	if name != "" {
		return nil, unknown
	}
	return all, nil
}

// requestSnapshot is a request that holds a worker.
type requestSnapshot struct {
	Route     string         `json:"route"`
	Lane      admission.Lane `json:"lane"`
	ClientKey string         `json:"client_key"` // as admission.ClientKeyName has it
	Instance  string         `json:"instance"`   // "" until it is sent
	Age       float64        `json:"age_seconds"`
}

// requestsShown is how many requests the status has.
const requestsShown = 100

func requestSnapshots(a *bridge.Application) []requestSnapshot {
	list := make([]requestSnapshot, 0, requestsShown)
	for _, r := range a.Requests(requestsShown) {
		list = append(list, requestSnapshot{r.Route, r.Lane, admission.ClientKeyName(r.ClientKey), r.Instance, r.Age.Seconds()})
	}
	return list
}

// frontSnapshot is the state of the servers and the logs.
type frontSnapshot struct {
	Connections connlimit.Snapshot `json:"connections"`
	// WebServers are connections in FastCGI and SCGI.
	WebServers        map[cgiserver.Protocol]connlimit.Snapshot `json:"web_server_connections,omitempty"`
	StatusConnections connlimit.Snapshot                        `json:"status_connections"`
	TLS               *tlsSnapshot                              `json:"tls,omitempty"` // nil: there is no https address
	Malformed         uint64                                    `json:"malformed"`     // requests with a refused header, ever
	Draining          bool                                      `json:"draining"`
	DroppedLines      droppedLineCounts                         `json:"dropped_lines"`
}

// judgedFront is a frontSnapshot with what is the matter.
type judgedFront struct {
	frontSnapshot
	Findings []page.Finding `json:"findings,omitempty"` // nothing: all is well
}

// tlsSnapshot is the state of what is served over TLS.
type tlsSnapshot struct {
	Certificates     []certs.Certificate       `json:"certificates"`
	FailedHandshakes uint64                    `json:"failed_handshakes"` // ever
	HTTP2            connlimit.StreamsSnapshot `json:"http2"`
}

// tlsSnapshot returns the state, nil if there is no TLS.
func (s *frontServer) tlsSnapshot() *tlsSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.secure {
		return nil
	}
	return &tlsSnapshot{s.certs.Snapshot(), s.splitter.Failed(), s.streams.Snapshot()}
}

// page is what the page shows of it.
func (s frontSnapshot) page() page.Front {
	f := page.Front{Connections: s.Connections.Open, Idle: s.Connections.Idle, Max: s.Connections.Max, Draining: s.Draining}
	for _, l := range s.WebServers {
		f.Connections, f.Idle, f.Max = f.Connections+l.Open, f.Idle+l.Idle, f.Max+l.Max
	}
	if s.TLS != nil {
		for _, c := range s.TLS.Certificates {
			f.Certificates = append(f.Certificates, page.Certificate{Names: c.Names, Source: c.Source, Expires: c.Expires, Error: c.Error, Renewed: c.Source == certs.FromACME})
		}
	}
	return f
}

// droppedLineCounts has the numbers of dropped log lines, ever.
type droppedLineCounts struct {
	Access uint64 `json:"access"`
	Error  uint64 `json:"error"`
}

// frontCollector exports a frontSnapshot to Prometheus.
type frontCollector struct{ snapshot func() frontSnapshot }

var (
	frontConnections = prometheus.NewDesc("sluice_front_connections", "Client connections: idle, active, or waiting for room.", []string{"listener", "state"}, nil)
	frontMax         = prometheus.NewDesc("sluice_front_connections_max", "How many client connections there may be.", []string{"listener"}, nil)
	frontClosed      = prometheus.NewDesc("sluice_front_connections_closed_total", "Client connections closed for others: idle, active, or waiting for room.", []string{"listener", "state"}, nil)
	frontErrors      = prometheus.NewDesc("sluice_front_accept_errors_total", "Times that accepting connections failed.", []string{"listener"}, nil)
	tlsExpiry        = prometheus.NewDesc("sluice_front_certificate_expiry_timestamp_seconds", "When the certificate for a name ends, 0 if there is none yet; source is its file, or acme.", []string{"name", "source"}, nil)
	tlsFailing       = prometheus.NewDesc("sluice_front_certificate_failing", "1 if the certificate for a name could not be read again, obtained or renewed at the last try.", []string{"name", "source"}, nil)
	tlsHandshakes    = prometheus.NewDesc("sluice_front_failed_handshakes_total", "TLS handshakes that have failed.", nil, nil)
	http2Requests    = prometheus.NewDesc("sluice_front_streams", "Requests in progress on HTTP/2 connections.", nil, nil)
	http2Refused     = prometheus.NewDesc("sluice_front_streams_refused_total", "Requests on HTTP/2 connections that were refused because there were too many.", nil, nil)
	frontMalformed   = prometheus.NewDesc("sluice_front_malformed_requests_total", "Requests that were refused because their header is malformed or too large.", nil, nil)
	frontDropped     = prometheus.NewDesc("sluice_front_log_lines_dropped_total", "Lines that nobody took in time.", []string{"log"}, nil)
)

// Describe implements prometheus.Collector.
func (frontCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{frontConnections, frontMax, frontClosed, frontErrors, frontMalformed, frontDropped, tlsExpiry, tlsFailing, tlsHandshakes, http2Requests, http2Refused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c frontCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	listeners := map[string]connlimit.Snapshot{"listen": s.Connections, "status": s.StatusConnections}
	for protocol, l := range s.WebServers {
		listeners[string(protocol)] = l
	}
	for name, l := range listeners {
		send(frontConnections, prometheus.GaugeValue, float64(l.Idle), name, "idle")
		send(frontConnections, prometheus.GaugeValue, float64(l.Open-l.Idle), name, "active")
		send(frontConnections, prometheus.GaugeValue, float64(l.Waiting), name, "waiting")
		send(frontMax, prometheus.GaugeValue, float64(l.Max), name)
		send(frontClosed, prometheus.CounterValue, float64(l.ClosedIdle), name, "idle")
		send(frontClosed, prometheus.CounterValue, float64(l.CutActive), name, "active")
		send(frontClosed, prometheus.CounterValue, float64(l.Refused), name, "waiting")
		send(frontErrors, prometheus.CounterValue, float64(l.AcceptErrors), name)
	}
	if s.TLS != nil {
		s.TLS.collect(send)
	}
	send(frontMalformed, prometheus.CounterValue, float64(s.Malformed))
	send(frontDropped, prometheus.CounterValue, float64(s.DroppedLines.Access), "access")
	send(frontDropped, prometheus.CounterValue, float64(s.DroppedLines.Error), "error")
}

// collect exports the state. Several certificates may be for the same name: what counts is the one that
// lasts longest.
func (s *tlsSnapshot) collect(send func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string)) {
	type key struct{ name, source string }
	expiry, failing := make(map[key]float64), make(map[key]float64)
	for _, c := range s.Certificates {
		for _, name := range c.Names {
			k := key{name, c.Source}
			expires := 0.0
			if c.Expires != nil {
				expires = float64(c.Expires.Unix())
			}
			expiry[k] = max(expiry[k], expires)
			failing[k] = max(failing[k], map[bool]float64{true: 1}[c.Error != ""])
		}
	}
	for k, value := range expiry {
		send(tlsExpiry, prometheus.GaugeValue, value, k.name, k.source)
		send(tlsFailing, prometheus.GaugeValue, failing[k], k.name, k.source)
	}
	send(tlsHandshakes, prometheus.CounterValue, float64(s.FailedHandshakes))
	send(http2Requests, prometheus.GaugeValue, float64(s.HTTP2.Open))
	send(http2Refused, prometheus.CounterValue, float64(s.HTTP2.Refused))
}
