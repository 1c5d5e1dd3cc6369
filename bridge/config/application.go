package config

// Application is what is said of an application: where it is or what starts it, how much it
// can hold, who may start, and how it is connected to. All sites in front of it have one.
type Application struct {
	Backends []string `key:"backends" flag:"backend" value:"ADDR" doc:"the application's ADDR: unix:/path or host:port; scgi+unix:/path and scgi://host:port name its protocol: fcgi, scgi or uwsgi"`
	// Spawn is nil if the application runs already.
	Spawn *Spawn `key:"spawn" flag:"command-*" args:"command"`

	// Complete sets Protocol to what all Backends speak.
	Protocol Protocol `key:"protocol" words:"fastcgi scgi uwsgi" otherwise:"fastcgi" change:"backend" doc:"what a command that is started speaks, and backends whose addresses do not say so: fastcgi, scgi or uwsgi"`

	Workers int    `key:"workers" default:"4" doc:"how many requests one backend can hold at once: its threads or processes"`
	Preset  string `key:"preset" words:"app php cgi" change:"backend" doc:"how URLs map to the application: app (one application), php (scripts under {root}) or cgi (a program per file under {root})"`

	// KeepAlive says whether connections to the application are kept for further requests.
	// Some libfcgi programs are stopped by a kept connection that is not used: those whose
	// threads take turns at FCGX_Accept_r, or of which one accepts for all. With preset app
	// that is found out, and found out again when it may be another application; the
	// processes of the others take kept connections.
	KeepAlive Switch `key:"keep_alive" words:"auto on off" doc:"on: keep connections to the application; off: a new one per request; auto: kept, unless that is found to stop the application, as threaded libfcgi programs (preset app)"`
	// Multiplex says whether requests share connections. With auto and preset app an instance
	// is asked when there are eight connections to it (FCGI_MPXS_CONNS), and requests without
	// a body share from there on. With on they share from the first, those with a small body,
	// too, whatever the application says. Scripts (presets php and cgi) never do: a process of
	// theirs serves one at a time.
	Multiplex Switch `key:"multiplex" words:"auto on off" change:"backend" doc:"on: requests share connections to the application; off: they never do; auto: the application is asked whether it can (preset app)"`

	// With Lanes off, all but Queue.Size and Queue.Timeout of the gate's settings means nothing.
	Lanes Switch `key:"lanes" words:"on off" change:"backend" doc:"on: slow requests are told from fast ones and never take the last workers; off: one queue, first come, first served"`
	// Reserve is kept from slow requests however idle it is. More is as short requests need it.
	Reserve *int `key:"reserve" otherwise:"a quarter, at least 2; 1 of 2 or 3" doc:"how many workers slow requests never take, of all backends together"`

	Queue     Queue              `key:"queue"`
	FlowLimit int                `key:"flow.limit" otherwise:"a quarter of the workers, at least 2" doc:"how many short requests one of those whom {flow.key} tells apart may have in flight, and long ones as many again"`
	Admission Admission          `key:"admission"`
	Timeouts  ConnectionTimeouts `key:"timeouts" flag:"*-timeout"`
	Spool     Spool              `key:"spool"`
}

// Queue bounds what waits for a worker.
type Queue struct {
	Size int `key:"size" default:"256" doc:"how many short requests may wait for a worker; of one session a quarter"`
	// Each costs memory, no worker.
	LongSize int `key:"long_size" default:"10000" doc:"how many slow ones may, and as many of routes that are not known yet; of one session a quarter, of one address half"`
	// Timeout is for a worker and then for a connection, together. What waits only for others
	// of its own session has LongTimeout.
	Timeout Duration `key:"timeout" default:"3s" doc:"how long a short request may wait for a worker"`
	// Clients of long-polls expect to be kept waiting.
	LongTimeout Duration `key:"long_timeout" default:"20s" doc:"how long a slow one may"`
}

// Admission is the gate's fine tuning. docs/admission.md says what the values do together.
type Admission struct {
	LongAfter  Duration `key:"long_after" default:"1s" flag:"long-after" doc:"how long a request runs before it counts as slow"`
	StallAfter Duration `key:"stall_after" default:"1s" flag:"stall-after" doc:"how long no short request may end before the application counts as stalled; 20 times their mean time if that is longer"`
	WaitTarget Duration `key:"wait_target" default:"100ms" flag:"-" doc:"a wait that 1 % of the short requests may exceed because of slow ones; twice their mean time if that is longer"`
	Unknown    int      `key:"unknown" flag:"-" otherwise:"half the workers" doc:"how many requests of routes that are not known yet may be in flight together, until they count as slow"`
	LongMin    *int     `key:"long_min" flag:"-" otherwise:"1; 0 of four workers or fewer" doc:"how many workers slow requests have even when short ones could use them all"`
	FlowRate   float64  `key:"flow_rate" flag:"-" otherwise:"an eighth of the workers, at least 1" doc:"what one may take of the application on and on, in workers"`
	FlowBurst  float64  `key:"flow_burst" flag:"-" otherwise:"half the number of workers" doc:"what one who took less may take at once, in seconds of one worker"`
	SpentLimit int      `key:"spent_limit" flag:"-" otherwise:"an eighth of the workers, at least 1" doc:"takes the place of {flow.limit} for short requests of one who took more than that"`
}

// ConnectionTimeouts bounds how long it may take to connect to the application, and to hand it a request.
type ConnectionTimeouts struct {
	// The default of Dial is less than a request may wait for a connection (Queue.Timeout).
	Dial Duration `key:"dial" default:"2s" doc:"how long connecting to the application may take"`
	Send Duration `key:"send" default:"1m" doc:"how long the application may take nothing of a request"`
	Idle Duration `key:"idle" default:"5s" doc:"how long an unused connection to the application is kept"`
}

// Spool bounds what bodies may take while they wait for the slower side.
type Spool struct {
	Dir    string `key:"dir" value:"DIR" otherwise:"the system's" doc:"DIR for temporary files"`
	Buffer int    `key:"buffer" unit:"bytes" default:"256KiB" doc:"how much of one body is held in memory"`
	// Memory includes what waits on shared connections.
	Memory int64 `key:"memory" unit:"bytes" default:"64MiB" doc:"how much all bodies may take in memory"`
	Disk   int64 `key:"disk" unit:"bytes" default:"4GiB" doc:"how much they may take in temporary files"`
}
