package config

// Site is what is said of a site in front of an application: how URLs map to it, whose word
// is believed, and how long each step of a request may take.
type Site struct {
	Mount string `key:"mount" value:"PREFIX" doc:"URL PREFIX the application lives at"`
	// Root may be a symbolic link that is switched to another release: it is followed anew. If
	// the directory is not there, requests are answered with 404 until it is.
	Root string `key:"root" value:"DIR" doc:"DIR of the scripts and static files"`
	// If ResolveRootSymlink is on, a release that Root is switched to is used at once and as a
	// whole, whatever PHP remembers of the link.
	ResolveRootSymlink Switch `key:"resolve_root_symlink" words:"on off" otherwise:"on" doc:"on: the application is told the directory that {root} leads to without symbolic links, so that a release is switched at once; off: {root} as it is written"`
	// SCRIPT_FILENAME and DOCUMENT_ROOT begin with AppRoot.
	AppRoot string `key:"app_root" value:"DIR" doc:"DIR that {root} is for the application, if that is in a container or a chroot"`
	// If CheckFiles is off, which part of a path is the script is told by its name (.php, .cgi,
	// .pl, ...). What is hidden, begins with a dot or climbs is out of reach as always, but not
	// what a symbolic link leads to.
	CheckFiles Switch `key:"check_files" words:"on off" doc:"on: scripts are looked for below {root}; off: the files cannot be seen from here, and {root} is the application's directory"`
	// With a mount, Virtual is below it.
	Virtual  []string `key:"virtual" value:"PATH" doc:"URL PATH of a script that no file stands for, such as PHP-FPM's /ping and /status, presets php and cgi"`
	Index    []string `key:"index" value:"FILE" commas:"true" otherwise:"index.php, then index.html" doc:"FILE that serves a directory, preset php"`
	Fallback string   `key:"fallback" value:"SCRIPT" otherwise:"404" doc:"SCRIPT below {root}, such as /index.php, that answers where nothing is, presets php and cgi"`
	Follow   []string `key:"follow" value:"DIR" doc:"DIR outside {root} that symbolic links may lead into"`
	// What begins with a dot, scripts, and copies of them are never sent.
	Static      string   `key:"static" words:"off usual all" otherwise:"usual; preset app: off" doc:"which files below {root} are sent: usual (styles, scripts for browsers, images, fonts and the like), all (that are no scripts) or off"`
	StaticTypes []string `key:"static_types" value:"ENDINGS" commas:"true" doc:"further ENDINGS of files below {root} that are sent, such as zip,docx"`
	StaticDirs  []string `key:"static_dirs" value:"PREFIX" commas:"true" doc:"URL PREFIXes below which all files are sent, such as /uploads, or /cgit-css=/usr/share/cgit for a directory outside {root}"`
	// Whatever way the paths are written: "/data" hides /data and /data/x.
	Hide []string `key:"hide" value:"PREFIX" doc:"URL PREFIX below which nothing is served or run, whole or as it is below {mount}"`

	Env            map[string]string `key:"env" value:"K=V" doc:"a further CGI variable, K=V, sent with each request; wins over everything else; for the environment of a command that is started there is {spawn.env}"`
	TrustedProxies []string          `key:"trusted_proxies" flag:"trusted-proxy" value:"IP" commas:"true" doc:"IP, network (CIDR) or \"unix\" whose X-Forwarded-* (-For, -Proto, -Host, -Port) and Forwarded are believed"`
	UserHeader     string            `key:"user_header" value:"NAME" doc:"header field NAME, such as X-Remote-User, in which a proxy of {trusted_proxies} names the user: REMOTE_USER; ignored from other peers"`
	// A field that is not listed is dropped: clients could pass one off as the other.
	UnderscoreHeaders []string `key:"underscore_headers" value:"NAMES" commas:"true" otherwise:"none" doc:"NAMES of request header fields with underscores that are passed on, such as api_key, in place of those with hyphens"`
	// Without it only a trusted proxy gets such a field.
	Sendfile []string `key:"sendfile" value:"DIR" doc:"DIR from which files are sent that the application names in X-Sendfile, or URI=DIR for X-Accel-Redirect"`

	MaxBody           int64 `key:"max_body" unit:"bytes" default:"1GiB" doc:"largest request body, such as 20MiB"`
	MaxParams         int   `key:"max_params" unit:"bytes" default:"64KiB" doc:"largest set of CGI variables; FastCGI servers are known to take 64KiB, uWSGI 4KiB if its buffer-size is not set"`
	MaxResponseHeader int   `key:"max_response_header" unit:"bytes" default:"64KiB" doc:"largest response header of the application"`
	// If RequestBuffering is off, the application may answer before a body ends. Bodies of
	// unknown length are read whole all the same, because CONTENT_LENGTH must be true, and a
	// client that leaves while it waits is noticed only when its body is read.
	RequestBuffering Switch `key:"request_buffering" words:"on off" doc:"on: read request bodies before a worker is taken; off: send them on as they arrive"`

	LongPoll   []string        `key:"long_poll" value:"PATH" doc:"PATH that is known to be answered late, * for any run of characters; others are found out"`
	PollAnswer PollAnswer      `key:"queue.poll_answer" flag:"poll-answer-*" args:"status body content_type"`
	Flow       Flow            `key:"flow"`
	Timeouts   RequestTimeouts `key:"timeouts" flag:"*-timeout"`
}

// PollAnswer is an answer that the application does not give itself, so that a client of
// long-polls simply asks again. If LongPoll names the long-polls, only those that it matches
// are answered so. Else every request is that was taken for slow, a page or download, too.
type PollAnswer struct {
	Status int `key:"status" value:"STATUS" least:"200" most:"599" otherwise:"503, as others get" doc:"STATUS for long-polls that are refused"`
	// 204 and 304 have no body.
	Body        string `key:"body" value:"TEXT" doc:"its body, TEXT"`
	ContentType string `key:"content_type" flag:"poll-answer-type" value:"TYPE" otherwise:"text/plain; charset=utf-8" doc:"its content TYPE"`
}

// Flow says who counts as one, and from how many addresses one may come.
type Flow struct {
	// Key tells who a request is from:
	//
	//   - "auto" (default): by the session cookie, if there is one with a name that many
	//     applications use (docs/admission.md lists them; its value must have 12 characters
	//     at least), else by the user that a front in this process has checked, else by the
	//     client's address.
	//   - "cookie NAME": by that cookie.
	//   - "header NAME": by that request header.
	//   - "user": by the user that a front in this process has checked, else by the
	//     credentials of an Authorization field (Basic or Bearer).
	//   - "client": by the client's address, of IPv6 the first 64 bits.
	//   - "off": requests are from nobody in particular.
	//
	// What lacks the cookie, the header or the user goes by its address. Many people may
	// share that, so it has its turn in the queue, and no limit; unless Key is "client".
	Key string `key:"key" value:"KEY" default:"auto" phrase:"true" doc:"who a request is from: KEY is 'cookie NAME', 'header NAME', user, client (its address), off, or auto: a well-known session cookie, else the address"`
	// It does not concern those who are told apart by their address.
	MaxAddresses int      `key:"max_addresses" value:"LIMIT" per:"flow.per" otherwise:"no limit" doc:"from how many addresses one of them may come, such as \"3 per 10m\": an account that is used in more places is shared"`
	Per          Duration `key:"per" flag:"-" least:"1s" otherwise:"10m" doc:"how long an address counts after its last request"`
	// Refuse answers one address more with 429 until another has not been seen for Per. Evict
	// lets it in, and answers the one that was not seen for longest with 429 for Per.
	Excess Excess `key:"excess" words:"refuse evict" otherwise:"refuse" doc:"what becomes of one address more: refuse, or evict the one that was not seen for longest"`
}

// RequestTimeouts bounds the steps of a request.
type RequestTimeouts struct {
	FirstByte    Duration `key:"first_byte" default:"1m" doc:"how long the application may say nothing after a request"`
	BetweenBytes Duration `key:"between_bytes" default:"1m" doc:"how long it may pause within its answer"`
	Request      Duration `key:"request" zero:"no limit" doc:"how long the application may take in all"`
	Abandoned    Duration `key:"abandoned" default:"30s" doc:"how long a worker counts as busy for a client that has left or was sent a 504"`
	// Client holds while the handler runs. The server in front must bound what it writes after
	// that, and the deadlines it set before are lifted.
	Client Duration `key:"client" default:"1m" doc:"how long a client may send nothing of its body, or take nothing of the answer"`
}
