package watch

// State is what is shown of /status.json. A test of cmd/sluice compares the names with the
// snapshot that is served.
type State struct {
	InFlight  int64      `json:"in_flight"`
	Abandoned int64      `json:"abandoned"`
	Gate      Gate       `json:"gate"`
	Pool      Pool       `json:"pool"`
	Hold      *Hold      `json:"hold"`
	Processes *Processes `json:"processes"`
	Fleet     *Fleet     `json:"fleet"`
	Front     Front      `json:"front"`
	Requests  []Request  `json:"requests"`
	Findings  []Finding  `json:"findings"`

	// Name and Applications are those of a sluice with a configuration file: then all but Front is
	// in Applications.
	Name         string  `json:"name"`
	Applications []State `json:"applications"`
}

// split returns the states of the applications, each as if it were alone.
func (s *State) split() []*State {
	if s.Applications == nil {
		return []*State{s}
	}
	list := make([]*State, len(s.Applications))
	for i := range s.Applications {
		list[i] = &s.Applications[i]
		list[i].Front = s.Front
	}
	return list
}

// Gate is the state of the gate.
type Gate struct {
	Workers   int             `json:"workers"`
	Capacity  int             `json:"capacity"`
	InUse     int             `json:"in_use"`
	Waiting   int             `json:"waiting"`
	Long      int             `json:"long"`
	LongCap   int             `json:"long_cap"`
	Reserve   int             `json:"reserve"`
	ShortRate float64         `json:"short_rate"`
	ShortMean float64         `json:"short_mean_ms"`
	Routes    []Route         `json:"routes"`
	Clients   []Client        `json:"client_keys"`
	Lanes     map[string]Lane `json:"lanes"`
}

// Lane is the state of a lane.
type Lane struct {
	InFlight int               `json:"in_flight"`
	Aged     int               `json:"aged"`
	Waiting  int               `json:"waiting"`
	Started  uint64            `json:"started"`
	Refused  map[string]uint64 `json:"refused"`
}

// Route is what is known of a route.
type Route struct {
	Route    string  `json:"route"`
	Lane     string  `json:"lane"`
	InFlight int     `json:"in_flight"`
	Aged     int     `json:"aged"`
	Short    int     `json:"short"`
	Long     int     `json:"long"`
	Work     float64 `json:"work"`
}

// Client is what is known of a client key.
type Client struct {
	Key      string  `json:"client_key"`
	InFlight int     `json:"in_flight"`
	Waiting  int     `json:"waiting"`
	Work     float64 `json:"work"`
}

// Pool is the state of the connections.
type Pool struct {
	Waiting   int        `json:"waiting"`
	Instances []Instance `json:"instances"`
}

// Instance is the state of the connections to one instance.
type Instance struct {
	Addr        string       `json:"addr"`
	State       string       `json:"state"`
	Workers     int          `json:"workers"`
	Limit       int          `json:"limit"`
	Busy        int          `json:"busy"`
	Idle        int          `json:"idle"`
	TurnedAway  uint64       `json:"turned_away"`
	AcceptQueue *AcceptQueue `json:"accept_queue"`
	LastError   string       `json:"last_error"`
}

// AcceptQueue is the accept queue of an instance.
type AcceptQueue struct {
	Depth   int `json:"depth"`
	Backlog int `json:"backlog"`
}

// Hold is the state of held clients.
type Hold struct {
	Clients int `json:"clients"`
	Max     int `json:"max"`
}

// Fleet is what a gate has of the workers that it shares with others.
type Fleet struct {
	Gates int `json:"gates"`
}

// Finding is something that is the matter.
type Finding struct {
	Level string `json:"level"`
	Text  string `json:"text"`
	Fault bool   `json:"fault"` // something is broken, and not only busy
}

// Processes is the state of the processes that Sluice has started.
type Processes struct {
	Breaker   string    `json:"breaker"`
	Instances []Process `json:"instances"`
}

// Process is one process of the application.
type Process struct {
	Addr     string `json:"addr"`
	PID      int    `json:"pid"`
	State    string `json:"state"`
	Restarts int    `json:"restarts"`
	Answered uint64 `json:"answered"`
	Usage    *Usage `json:"usage"`
}

// Usage is what a process uses.
type Usage struct {
	Threads int    `json:"threads"`
	RSS     uint64 `json:"rss_bytes"`
}

// Front is the state of the servers in front.
type Front struct {
	Connections Connections `json:"connections"`
	Draining    bool        `json:"draining"`
	Findings    []Finding   `json:"findings"`
}

// Connections is the state of clients' connections.
type Connections struct {
	Open int `json:"open"`
	Max  int `json:"max"`
}

// Request is a request that holds a worker.
type Request struct {
	Route    string  `json:"route"`
	Lane     string  `json:"lane"`
	Client   string  `json:"client_key"`
	Instance string  `json:"instance"`
	Age      float64 `json:"age_seconds"`
}

// parked returns how many requests wait as long or mixed ones.
func (g *Gate) parked() int { return g.Lanes["long"].Waiting + g.Lanes["mixed"].Waiting }

// total returns how many requests were started, and refused, ever.
func (g *Gate) total() (started, refused uint64) {
	for _, l := range g.Lanes {
		started += l.Started
		for _, n := range l.Refused {
			refused += n
		}
	}
	return started, refused
}

// mayUse returns how many workers the gate may have now, while others use the application, too: those of
// its fleet, or the process that it has taken over from.
func (s *State) mayUse() int {
	if len(s.Pool.Instances) == 0 {
		return s.Gate.Workers
	}
	n := 0
	for _, in := range s.Pool.Instances {
		n += in.Limit
	}
	return min(n, s.Gate.Workers)
}
