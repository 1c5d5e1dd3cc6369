package config

// Spawn says which program to run as the application, and how. Only Command must be set.
// docs/processes.md says what the values do together. User, Group, Umask, Nice, Core and
// AddressSpace require that Sluice may run its own program again (bridge.ApplicationHooks.Reexec).
type Spawn struct {
	Command []string `key:"command" flag:"-" change:"processes" doc:"the program and its arguments"`
	Dir     string   `key:"dir" value:"DIR" change:"processes" otherwise:"the present one, or / if {spawn.user} may not enter that" doc:"working DIR of the command"`
	// Env has priority over inherited variables.
	Env map[string]string `key:"env" value:"K=V" change:"processes" doc:"a variable of its environment, K=V, which it has from its start; Perl's FCGI replaces its environment at each request: there use {env}"`
	// PHP also inherits its own variables, PHP_FCGI_* and PHPRC.
	EnvCopy []string `key:"env_copy" value:"NAME" change:"processes" doc:"NAME of a variable it inherits besides PATH, HOME, USER, LOGNAME, LANG, LANGUAGE, LC_*, TZ and TMPDIR; \"TRAC_*\": all that begin so"`
	User    string   `key:"user" value:"USER" change:"processes" otherwise:"Sluice's" doc:"USER it runs as, by name or number; only as root, and then it should be given: without it the command runs as root"`
	Group   string   `key:"group" value:"GROUP" change:"processes" otherwise:"the user's" doc:"GROUP it runs as"`
	Umask   *Umask   `key:"umask" value:"MODE" change:"processes" otherwise:"Sluice's" doc:"its file mode creation mask, MODE such as 027"`
	Nice    int      `key:"nice" least:"-20" most:"19" zero:"Sluice's" change:"processes" doc:"its nice value, -20 to 19"`
	// Without Reexec, the default is the limit of this process.
	OpenFiles    uint64  `key:"open_files" change:"processes" otherwise:"65536, or what there is" doc:"how many files it may have open"`
	Core         *uint64 `key:"core" unit:"bytes" zero:"none" change:"processes" otherwise:"as it is for Sluice" doc:"the largest core dump"`
	AddressSpace uint64  `key:"address_space" unit:"bytes" change:"processes" otherwise:"as it is for Sluice" doc:"how much each of its processes may map"`
	// Complete sets Socket, see resolveSocket.
	Socket SocketMode `key:"socket" words:"stdin activation path port" change:"backend" otherwise:"path for a command with {{socket}}, port with {{port}}, either with {{address}}; else stdin, with HTTP activation" doc:"how it gets its listening socket: stdin, as FastCGI has it; activation, as systemd does it (LISTEN_FDS); path or port: it makes it where {{socket}}, {{port}} or {{address}} in its arguments, or PORT in its environment, tell it to"`
	// With a port other than 0 there can be only one instance.
	Listen  string `key:"listen" value:"ADDR" change:"backend" otherwise:"a unix socket in a private directory; with {spawn.socket} port 127.0.0.1:0" doc:"its socket is at ADDR, host:port; port 0 is any that is free"`
	Backlog int    `key:"backlog" zero:"as many as the system allows" change:"processes" doc:"how many connections may wait for it to accept them"`
	Budget  Budget `key:"budget" flag:"command-spawn-budget" value:"BUDGET" phrase:"true" otherwise:"10 per 10m" doc:"how often it may end without having served, BUDGET, before it is started but once in that time and requests are refused; \"10 per 10m stop\" counts ends after it has served, too, but none with status 0"`

	Instances    int      `key:"instances" default:"1" doc:"how many processes of it serve, each with {workers} workers"`
	MaxInstances int      `key:"max_instances" otherwise:"as many as {spawn.instances}" doc:"how many there may be when requests wait for long"`
	StartTimeout Duration `key:"start_timeout" default:"1m" doc:"how long one may take to be ready"`
	// Ready may have a query.
	Ready        string   `key:"ready" value:"PATH" otherwise:"when it has accepted a connection, where the system tells" doc:"PATH that one answers with a status below 500 when it is ready"`
	MaxRequests  int      `key:"max_requests" zero:"any number" doc:"how many requests one answers before it is replaced"`
	MaxLifetime  Duration `key:"max_lifetime" zero:"for ever" doc:"how long one lives before it is replaced, up to a tenth less"`
	IdleShutdown Duration `key:"idle_shutdown" zero:"it stays" doc:"how long there must be no request for it to be ended, until there is one"`
	DrainTimeout Duration `key:"drain_timeout" default:"10m" doc:"how long requests may finish at one that is replaced"`

	// A memory limit below 1 MiB is less than any program needs: it was probably meant in another
	// unit.
	MemorySoft  uint64 `key:"memory_soft" unit:"bytes" least:"1MiB" zero:"no limit" doc:"how much memory one may use before it is replaced"`
	MemoryHard  uint64 `key:"memory_hard" unit:"bytes" least:"1MiB" zero:"no limit" doc:"how much before it is killed"`
	MemoryTotal uint64 `key:"memory_total" unit:"bytes" least:"1MiB" zero:"no limit" doc:"how much all of them together may use"`

	MaxTime    Duration `key:"max_time" zero:"for ever" doc:"how long one may work on one request before it is replaced"`
	StallKill  Duration `key:"stall_kill" zero:"for ever" doc:"how long it may answer nobody before it is killed"`
	DumpSignal Signal   `key:"dump_signal" value:"SIGNAL" otherwise:"none" doc:"SIGNAL that one which hangs is sent before it is ended, such as QUIT or USR1, for its stacks to be in the log; needs {spawn.stall_kill}"`
	Quarantine Duration `key:"quarantine" zero:"it is only told of" doc:"how long a route is refused that was in flight when it died three times running"`
}
