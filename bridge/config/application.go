package config

// Application holds the settings of an application: its addresses or the command that starts
// it, how many requests it can hold, which of them may start, and the connections to it. All
// sites in front of an application share one.
type Application struct {
	Backends []string `key:"backends" flag:"backend" value:"ADDR" doc:"the application's ADDR: unix:/path or host:port; http+unix:/path and http://host:port name its protocol: fcgi, scgi, uwsgi or http"`
	// Spawn is nil if the application runs already.
	Spawn *Spawn `key:"spawn" flag:"command-*" args:"command"`

	// Complete sets Protocol to what all Backends speak, or the command.
	Protocol Protocol `key:"protocol" words:"fastcgi scgi uwsgi http" otherwise:"fastcgi; http if the command is gunicorn, uvicorn, hypercorn, waitress-serve or puma" change:"backend" doc:"what a command that is started speaks, and backends whose addresses do not say so: fastcgi, scgi, uwsgi or http"`

	Workers int    `key:"workers" default:"4" doc:"how many requests one backend can hold at once: its threads or processes"`
	Preset  Preset `key:"preset" words:"app php cgi" change:"backend" doc:"how URLs map to the application: app (one application), php (scripts under {root}) or cgi (a program per file under {root})"`

	// KeepAlive says whether connections to the application are kept for further requests.
	// An unused kept connection stops some libfcgi programs: those whose threads take turns at
	// FCGX_Accept_r, or of which one thread accepts for all. With auto and preset app, Sluice
	// tests for this, and tests again when another application may have taken the address. The
	// processes of the other presets take kept connections.
	KeepAlive Switch `key:"keep_alive" words:"auto on off" doc:"on: keep connections to the application; off: a new one per request; auto: kept, unless that is found to stop the application, as threaded libfcgi programs (preset app), or the application closes them"`
	// Multiplex says whether requests share connections. With auto and preset app, Sluice asks
	// an instance when there are eight connections to it (FCGI_MPXS_CONNS); if it agrees,
	// requests without a body share connections from then on. With on, requests without a body
	// or with a small one share connections from the first request on, whatever the application
	// says. With presets php and cgi requests never share one: a process of these serves one
	// request at a time.
	Multiplex Switch `key:"multiplex" words:"auto on off" change:"backend" doc:"on: requests share connections to the application; off: they never do; auto: the application is asked whether it can (preset app)"`

	// With Lanes off, of the gate's settings only Queue.Size and Queue.Timeout have an effect.
	Lanes Switch `key:"lanes" words:"on off" change:"backend" doc:"on: slow requests are told from fast ones and never take the last workers; off: one queue, first come, first served"`
	// The gate keeps the Reserve free of slow requests even while it is idle, and keeps more
	// workers free of them as the load of short requests grows.
	Reserve *int `key:"reserve" otherwise:"a quarter, at least 2; 1 of 2 or 3" doc:"how many workers slow requests never take, of all backends together"`

	// An upgraded connection holds a worker until one side ends it, which may be hours. By default
	// as many are left to long-polls, and as many again to short requests, at least.
	MaxUpgraded int `key:"max_upgraded" otherwise:"a quarter of the workers, at least 1" doc:"how many connections may be upgraded (WebSocket) at once, those that wait for a worker included; of all backends together"`

	// Authorizer is nil if there is none. A second pool of connections leads to it, so an
	// application that is its own authorizer needs workers for both.
	Authorizer *Authorizer `key:"authorizer" args:"address"`

	// Hold is nil if no clients are held.
	Hold *Hold `key:"hold" args:"key_file"`

	Queue       Queue              `key:"queue"`
	ClientLimit int                `key:"client.limit" was:"flow.limit" otherwise:"a quarter of the workers, at least 2" doc:"how many short requests one client, as {client.key} tells them apart, may have in flight, and as many long ones besides"`
	Admission   Admission          `key:"admission"`
	Timeouts    ConnectionTimeouts `key:"timeouts" flag:"*-timeout"`
	Spool       Spool              `key:"spool"`
	Fleet       Fleet              `key:"fleet"`
}

// Queue bounds how many requests wait for a worker, and for how long.
type Queue struct {
	Size int `key:"size" default:"256" doc:"how many short requests may wait for a worker; a quarter of them of one client"`
	// A waiting request takes memory, but no worker.
	LongSize int `key:"long_size" default:"10000" doc:"how many slow requests may wait, and as many of routes that are not known yet; a quarter of them of one client, or half if the client is known by its address alone"`
	// Timeout bounds the waits for a worker and then for a connection, together. LongTimeout
	// bounds the wait of a request that only others of its own client hold up.
	Timeout Duration `key:"timeout" default:"3s" doc:"how long a short request may wait for a worker"`
	// Clients of long-polls expect to wait.
	LongTimeout Duration `key:"long_timeout" default:"20s" doc:"how long a slow request may wait for a worker"`
}

// Admission tunes the gate. docs/admission.md says what the values do together.
type Admission struct {
	LongAfter   Duration `key:"long_after" default:"1s" flag:"long-after" doc:"how long a request runs before it counts as slow"`
	StallAfter  Duration `key:"stall_after" default:"1s" flag:"stall-after" doc:"how long no short request may end before the application counts as stalled; 20 times their mean time if that is longer"`
	WaitTarget  Duration `key:"wait_target" default:"100ms" flag:"-" doc:"the wait for a worker that at most 1 % of the short requests may exceed because of slow ones; twice their mean time if that is longer"`
	Unknown     int      `key:"unknown" flag:"-" otherwise:"half the workers" doc:"how many requests of routes that are not known yet may be in flight together, until they count as slow"`
	LongMin     *int     `key:"long_min" flag:"-" otherwise:"1; 0 of four workers or fewer" doc:"how many workers slow requests have even when short ones could use them all"`
	ClientRate  float64  `key:"client_rate" was:"admission.flow_rate" flag:"-" otherwise:"an eighth of the workers, at least 1" doc:"how many workers one client may keep busy all the time"`
	ClientBurst float64  `key:"client_burst" was:"admission.flow_burst" flag:"-" otherwise:"half the number of workers" doc:"how much a client that used less may use beyond that at once, in seconds of one worker"`
	SpentLimit  int      `key:"spent_limit" flag:"-" otherwise:"an eighth of the workers, at least 1" doc:"the {client.limit} for short requests of a client that has used more than that"`
}

// ConnectionTimeouts bounds how long connecting to the application and sending it a request
// may take.
type ConnectionTimeouts struct {
	// The default of Dial is less than a request may wait for a connection (Queue.Timeout).
	Dial Duration `key:"dial" default:"2s" doc:"how long connecting to the application may take"`
	Send Duration `key:"send" default:"1m" doc:"how long the application may take nothing of a request"`
	// Authorizer bounds the wait for one of the authorizer's workers, too. A request about which
	// the authorizer has not decided then is refused.
	Authorizer Duration `key:"authorizer" default:"5s" doc:"how long the authorizer, {authorizer.address}, may take to decide"`
	// Idle is shorter for HTTP, whose servers close unused connections by themselves: gunicorn
	// after 2 s. A request that is on its way at that moment is lost, unless it may be sent again.
	Idle Duration `key:"idle" otherwise:"5s; protocol http: 1s" doc:"how long an unused connection to the application is kept"`
}

// Spool bounds how much memory and disk bodies may take while they wait for the slower side.
type Spool struct {
	Dir    string `key:"dir" value:"DIR" otherwise:"the system's" doc:"DIR for temporary files"`
	Buffer int    `key:"buffer" unit:"bytes" default:"256KiB" doc:"how much of one body is held in memory"`
	// Memory includes answers that wait on shared connections.
	Memory int64 `key:"memory" unit:"bytes" default:"64MiB" doc:"how much all bodies may take in memory"`
	Disk   int64 `key:"disk" unit:"bytes" default:"4GiB" doc:"how much all bodies may take in temporary files"`
}
