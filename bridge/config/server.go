package config

import (
	"fmt"
	"net/netip"
)

// Server holds the settings of the server that sluice serve is: where it listens, what it tells of
// its state, and how long it waits for clients.
type Server struct {
	Listen []string `key:"listen" value:"ADDR" otherwise:"127.0.0.1:8080" doc:"serve HTTP at ADDR: host:port, :port, unix:/path or unix:@name; or HTTP over TLS: https://:443, https+unix:/path; or a web server in FastCGI or SCGI: fcgi://127.0.0.1:9001, fcgi+unix:/path, scgi+unix:/path; or systemd:NAME, a socket of that name which systemd hands over (https+systemd:NAME with TLS), and systemd, all others"`
	// What a web server says is believed, so the default for its sockets is 0660.
	ListenMode  FileMode `key:"listen_mode" value:"MODE" otherwise:"0666; FastCGI and SCGI: 0660" doc:"permissions of the unix sockets of {listen}, MODE; users with write permission may connect"`
	ListenOwner string   `key:"listen_owner" value:"USER" otherwise:"the user Sluice runs as" doc:"USER they belong to, by name or number"`
	ListenGroup string   `key:"listen_group" value:"GROUP" otherwise:"the user's" doc:"GROUP they belong to, by name or number"`

	TLS           ServerTLS `key:"tls"`
	ACME          ACME      `key:"acme"`
	ProxyProtocol []string  `key:"proxy_protocol" value:"ADDR" commas:"true" otherwise:"none" doc:"ADDRs or networks of load balancers, or unix, whose connections begin with a header of the PROXY protocol, which tells the client's address"`

	MaxConnections int           `key:"max_connections" zero:"as many as the limit of open files allows, 16384 at most" doc:"how many connections clients may have; idle ones are closed for new ones"`
	MaxHeader      int           `key:"max_header" unit:"bytes" default:"64KiB" change:"restart" doc:"largest request header"`
	Timeouts       ServerTimeout `key:"timeouts" flag:"*-timeout"`

	Front            Front   `key:"front" words:"loop net" otherwise:"loop on Linux" change:"restart" doc:"how HTTP is served: loop, in event loops, in which a client that waits costs next to nothing; or net, by Go's net/http with a goroutine for each client"`
	WebServerStderr  Switch  `key:"web_server_stderr" words:"off on" bare:"on" change:"restart" doc:"on: also send the application's standard error to a web server that speaks FastCGI, for its error log"`
	WebServerRefusal Refusal `key:"web_server_refusal" words:"503 overloaded" change:"restart" doc:"answer to a web server that speaks FastCGI when the gate refuses a request: 503 or overloaded, which is END_REQUEST with FCGI_OVERLOADED, that no usual web server understands"`

	Status      string   `key:"status" value:"ADDR" default:"127.0.0.1:9180" doc:"ADDR for /healthz, /status.json, /metrics, POST /restart, /reload and /upgrade, or off"`
	StatusHosts []string `key:"status_hosts" flag:"status-host" value:"NAME" commas:"true" otherwise:"none" doc:"further host NAME of requests to {status}, besides IP addresses and localhost; *: any"`
	StatusMode  FileMode `key:"status_mode" value:"MODE" otherwise:"0660" doc:"permissions of the unix socket of {status}, MODE; users with write permission may connect"`
	StatusOwner string   `key:"status_owner" value:"USER" otherwise:"the user Sluice runs as" doc:"USER it belongs to, by name or number"`
	StatusGroup string   `key:"status_group" value:"GROUP" otherwise:"the user's" doc:"GROUP it belongs to, by name or number"`

	AccessLog       string       `key:"access_log" value:"FILE" default:"-" doc:"write a line per request to FILE, - (standard output) or off"`
	AccessLogFormat AccessFormat `key:"access_log_format" words:"json common combined" doc:"format of the access log: json, common or combined; only json has what the gate did"`
	SlowLog         Duration     `key:"slow_log" zero:"off" doc:"log requests that take at least this TIME, and what they waited for; known long-polls and event streams are left out"`
	LogFormat       LogFormat    `key:"log_format" words:"text json" change:"restart" doc:"format of the log on standard error: text or json"`
	LogLevel        LogLevel     `key:"log_level" words:"debug info warn error" default:"info" doc:"least level of the log: debug (also why each request was refused), info, warn or error"`
}

// ServerTimeout bounds how long the server waits for clients.
type ServerTimeout struct {
	Header    Duration  `key:"header" default:"10s" change:"restart" doc:"how long a client may take to send a request's header"`
	KeepAlive Duration  `key:"keepalive" default:"75s" change:"restart" doc:"how long a client's unused connection is kept"`
	Drain     *Duration `key:"drain" default:"30s" zero:"no time" doc:"how long requests may take to finish after SIGTERM; then they get 503, or are cut"`
}

// Front is how HTTP is served; empty is the best that the system has.
type Front string

// The values of a Front.
const (
	FrontLoop Front = "loop"
	FrontNet  Front = "net"
)

// Refusal is the answer to a web server when the gate refuses a request.
type Refusal string

// The values of a Refusal.
const (
	Refusal503        Refusal = "503"
	RefusalOverloaded Refusal = "overloaded"
)

// AccessFormat is the format of the access log.
type AccessFormat string

// The values of an AccessFormat.
const (
	AccessJSON     AccessFormat = "json"
	AccessCommon   AccessFormat = "common"
	AccessCombined AccessFormat = "combined"
)

// LogFormat is the format of the log.
type LogFormat string

// The values of a LogFormat.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// LogLevel is the least level of the log.
type LogLevel string

var serverSchema = declare[Server]()

// Schema implements Holder.
func (*Server) Schema() *Schema { return serverSchema }

// Complete fills in declared defaults and checks the values. An error begins with the key.
func (s *Server) Complete() error {
	c := *s
	if err := complete(&c, all); err != nil {
		return err
	}
	if len(c.Listen) == 0 {
		c.Listen = []string{"127.0.0.1:8080"}
	}
	*s = c
	return nil
}

// Check refuses settings that mean nothing, or cannot be right, together. An error begins with the
// key. s is complete.
func (s *Server) Check() error {
	if err := s.ACME.check(); err != nil {
		return err
	}
	if err := checkPeers(s.ProxyProtocol); err != nil {
		return fmt.Errorf("proxy_protocol: %w", err)
	}
	return nil
}

// checkPeers refuses what is neither an address nor a network, nor unix.
func checkPeers(peers []string) error {
	for _, peer := range peers {
		_, addrErr := netip.ParseAddr(peer)
		if _, err := netip.ParsePrefix(peer); err != nil && addrErr != nil && peer != "unix" {
			return fmt.Errorf("%q: want an address such as 192.0.2.7, a network such as 10.0.0.0/8, or unix", peer)
		}
	}
	return nil
}

func all(*Setting) bool { return true }

// Keep gives s the values of now for the settings that cannot change while the server runs, and
// returns the keys of those that differed. Both servers are complete.
func (s *Server) Keep(now *Server) (keys []string) {
	for _, setting := range serverSchema.Settings {
		if setting.Change == Restart && !setting.equal(s, now) {
			keys = append(keys, setting.Key)
			setting.value(s, true).Set(setting.value(now, true))
		}
	}
	return keys
}

// Login says who must log in, by HTTP Basic. It is a part of a HostedSite.
type Login struct {
	File  string   `key:"file" value:"FILE" doc:"require log-in (HTTP Basic) with a name and password of this htpasswd FILE; REMOTE_USER is the name"`
	Paths []string `key:"paths" flag:"auth-path" value:"PREFIX" otherwise:"everything" doc:"URL PREFIX that requires log-in, such as /login for Trac, or /*/login, where * is any name, for several"`
	Realm string   `key:"realm" value:"TEXT" otherwise:"Sluice" doc:"TEXT that browsers show when they ask for the password"`
}

// IsSet reports whether a password is required.
func (l *Login) IsSet() bool { return l.File != "" }

// check refuses settings without effect.
func (l *Login) check() error {
	switch {
	case l.File == "" && len(l.Paths) > 0:
		return fmt.Errorf("auth.paths: means nothing without auth.file")
	case l.File == "" && l.Realm != "":
		return fmt.Errorf("auth.realm: means nothing without auth.file")
	}
	return nil
}
