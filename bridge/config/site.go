package config

// Site holds the settings of a site in front of an application: how URLs map to it, which
// proxies are trusted, and how long each step of a request may take.
type Site struct {
	Mount string `key:"mount" value:"PREFIX" doc:"URL PREFIX the application lives at"`
	// Root may be a symbolic link: when it is switched to another release, Sluice follows it
	// there. While the directory does not exist, requests are answered with 404.
	Root string `key:"root" value:"DIR" doc:"DIR of the scripts and static files"`
	// If ResolveRootSymlink is on, a request sees one release from its beginning to its end, and
	// new requests see a new release at once, even if PHP still remembers where the link led.
	ResolveRootSymlink Switch `key:"resolve_root_symlink" words:"on off" otherwise:"on" doc:"on: the application is told the directory that {root} leads to without symbolic links, so that a release is switched at once; off: {root} as it is written"`
	// SCRIPT_FILENAME and DOCUMENT_ROOT begin with AppRoot.
	AppRoot string `key:"app_root" value:"DIR" doc:"DIR that {root} is for the application, if that is in a container or a chroot"`
	// If CheckFiles is off, a file name's ending (.php, .cgi, .pl, ...) tells which part of a
	// path is the script. Hidden paths, names that begin with a dot, and ".." stay out of reach,
	// but the files that a symbolic link leads to do not.
	CheckFiles Switch `key:"check_files" words:"on off" doc:"on: scripts are looked for below {root}; off: the files cannot be seen from here, and {root} is the application's directory"`
	// With a Mount, the paths of Virtual are below it.
	Virtual  []string `key:"virtual" value:"PATH" doc:"URL PATH of a script that no file stands for, such as PHP-FPM's /ping and /status, presets php and cgi"`
	Index    []string `key:"index" value:"FILE" commas:"true" otherwise:"index.php, then index.html" doc:"FILE that serves a directory, preset php, and a directory of {static_dirs} outside {root}"`
	Fallback string   `key:"fallback" value:"SCRIPT" otherwise:"404" doc:"SCRIPT below {root}, such as /index.php, that answers where nothing is, presets php and cgi; /index.php/* gives it the path as PATH_INFO, /doku.php?id=* in the query"`
	// Others are as if nothing were there.
	Scripts []string `key:"scripts" value:"PATH" otherwise:"all below {root}" doc:"PATH of a script, * for any run of characters; no others are run, presets php and cgi"`
	Follow  []string `key:"follow" value:"DIR" doc:"DIR outside {root} that symbolic links may lead into"`
	// Scripts, copies of scripts, and files whose names begin with a dot are never sent.
	Static      StaticFiles `key:"static" words:"off usual all" otherwise:"usual; preset app: off" doc:"which files below {root} are sent: usual (styles, scripts for browsers, images, fonts and the like), all (that are no scripts) or off"`
	StaticTypes []string    `key:"static_types" value:"ENDINGS" commas:"true" doc:"further ENDINGS of files below {root} that are sent, such as zip,docx"`
	StaticDirs  []string    `key:"static_dirs" value:"PREFIX" commas:"true" doc:"URL PREFIXes below which all files are sent, such as /uploads, or /cgit-css=/usr/share/cgit for a directory outside {root}"`
	// Without StaticMissing, a missing file is the application's affair, or that of Fallback.
	StaticMissing StaticMissing `key:"static_missing" words:"pass 404" doc:"what answers where no file is below {static_dirs}: pass (the application) or 404 (nothing else)"`
	// The first pattern that matches counts.
	StaticCache []string `key:"static_cache" value:"RULE" otherwise:"none" doc:"RULE for how long static files may be kept: a pattern of paths, * for any run of characters, and the value of Cache-Control, such as '/assets/* max-age=3600'; with a ? in it, a pattern is compared with the query, too"`
	// Such a file is sent only if there is the other one, and it is not older.
	StaticPrecompressed []string `key:"static_precompressed" value:"CODINGS" commas:"true" otherwise:"none" doc:"CODINGS (br, zstd, gzip) for which FILE.br, FILE.zst and FILE.gz are sent in place of the static FILE beside them, to clients that take them"`

	// The first rule that matches counts. Clients that must log in are asked to do so first.
	Redirect []string `key:"redirect" value:"RULE" otherwise:"none" doc:"RULE that leads clients elsewhere: '/old /new 301', '/blog/* https://blog.example.org/*', '//www.example.org/* https://example.org/*'; 302 if no status is given"`
	// Hide, and paths that require log-in, hold for the path that a client asks for and for the one
	// that is looked up.
	Rewrite     []string    `key:"rewrite" value:"RULE" otherwise:"none" doc:"RULE for what is looked up in place of the path that a client asks for: '/wiki/* /index.php?title=*'; REQUEST_URI stays as it is"`
	Compression Compression `key:"compression" flag:"compression-*"`

	// "/data" hides /data and /data/x, in whatever way a request writes these paths.
	Hide []string `key:"hide" value:"PREFIX" doc:"URL PREFIX below which nothing is served or run, whole or as it is below {mount}"`

	Env            map[string]string `key:"env" value:"K=V" doc:"a further CGI variable, K=V, sent with each request; wins over everything else; for the environment of a command that is started there is {spawn.env}"`
	TrustedProxies []string          `key:"trusted_proxies" flag:"trusted-proxy" value:"IP" commas:"true" doc:"IP, network (CIDR) or \"unix\" whose X-Forwarded-* (-For, -Proto, -Host, -Port) and Forwarded are believed"`
	UserHeader     string            `key:"user_header" value:"NAME" doc:"header field NAME, such as X-Remote-User, in which a proxy of {trusted_proxies} names the user: REMOTE_USER; ignored from other peers"`
	// A user is known from {user_header}, or if Sluice or a server in this process has checked a
	// password.
	PassUser string `key:"pass_user" value:"NAME" default:"X-Remote-User" doc:"header field NAME in which an application that speaks HTTP is told the user who has logged in; a client's own is dropped"`
	// Other fields with underscores are dropped: a client could pass one off as the field with
	// hyphens.
	UnderscoreHeaders []string `key:"underscore_headers" value:"NAMES" commas:"true" otherwise:"none" doc:"NAMES of request header fields with underscores that are passed on, such as api_key, in place of those with hyphens"`
	// If Sendfile is empty, such a field is passed on, to trusted proxies only.
	Sendfile []string `key:"sendfile" value:"DIR" doc:"DIR from which files are sent that the application names in X-Sendfile, or URI=DIR for X-Accel-Redirect"`

	// Authorization has no effect without Application.Authorizer, and is refused then.
	Authorization Authorization `key:"authorizer"`

	MaxBody           int64 `key:"max_body" unit:"bytes" default:"1GiB" doc:"largest request body, such as 20MiB"`
	MaxParams         int   `key:"max_params" unit:"bytes" default:"64KiB" doc:"largest set of CGI variables, or HTTP header; FastCGI servers are known to take 64KiB, uWSGI 4KiB if its buffer-size is not set"`
	MaxResponseHeader int   `key:"max_response_header" unit:"bytes" default:"64KiB" doc:"largest response header of the application"`
	// If RequestBuffering is off, the application may answer before a body ends. A body of
	// unknown length is read whole all the same, because CONTENT_LENGTH must be true. A client
	// that leaves while its request waits is noticed only when its body is read.
	RequestBuffering Switch `key:"request_buffering" words:"on off" doc:"on: read request bodies before a worker is taken; off: send them on as they arrive"`

	LongPoll   []string        `key:"long_poll" value:"PATH" doc:"PATH that is known to be answered late, * for any run of characters; others are found out"`
	PollAnswer PollAnswer      `key:"queue.poll_answer" flag:"poll-answer-*" args:"status body content_type"`
	Client     Client          `key:"client"`
	Timeouts   RequestTimeouts `key:"timeouts" flag:"*-timeout"`
}

// Compression says which answers are compressed. What an application has encoded, streams of events,
// parts of files, and what is marked no-transform stay as they are.
type Compression struct {
	// A page with a secret in it, which is as short as what somebody else has put there is like the
	// secret, gives that away by its length (BREACH). So it is for the administrator to say that there
	// are no such pages, or that it does not matter.
	Scope     CompressionScope `key:"scope" flag:"compression" words:"off static public all" doc:"which answers are compressed: off (none), static (files that are sent), public (these, and answers to requests without cookies and credentials that set no cookie) or all"`
	Encodings []string         `key:"encodings" value:"CODINGS" commas:"true" otherwise:"gzip, zstd" doc:"CODINGS (gzip, zstd), the best one first, for clients that like several as much"`
	Types     []string         `key:"types" value:"TYPES" commas:"true" otherwise:"text, scripts, JSON, XML, SVG and the like" doc:"content TYPES that are compressed, such as text/*,application/json"`
	MinSize   int64            `key:"min_size" unit:"bytes" default:"1KiB" doc:"smaller answers stay as they are"`
	Level     CompressionLevel `key:"level" words:"usual fast best" doc:"how much work is put into it: fast, usual or best"`
	// Each takes 0.9 MB (gzip) or 1.8 MB (zstd), with level best 1 or 4.7 MB.
	Most int `key:"most" default:"32" doc:"how many answers of the site are compressed at a time; others are sent as they are"`
}

// PollAnswer is the answer to a refused long-poll, such that its client simply asks again. If
// LongPoll has patterns, only requests that match one get this answer. Otherwise every refused
// request that was taken for a slow one gets it, pages and downloads included.
type PollAnswer struct {
	Status int `key:"status" value:"STATUS" least:"200" most:"599" otherwise:"503, as others get" doc:"STATUS for long-polls that are refused"`
	// Answers with status 204 or 304 have no body.
	Body        string `key:"body" value:"TEXT" doc:"its body, TEXT"`
	ContentType string `key:"content_type" flag:"poll-answer-type" value:"TYPE" otherwise:"text/plain; charset=utf-8" doc:"its content TYPE"`
}

// Client says what tells clients apart, and from how many addresses one client may come.
type Client struct {
	// Key tells who a request is from:
	//
	//   - "auto" (default): by a session cookie whose name many applications use
	//     (docs/admission.md lists the names) and whose value has 12 characters or more; else
	//     by the user that the server in front, in this process, has checked; else by the
	//     client's address.
	//   - "cookie NAME": by that cookie.
	//   - "header NAME": by that request header.
	//   - "user": by the user that the server in front, in this process, has checked; else by
	//     the credentials of an Authorization field (Basic or Bearer).
	//   - "client": by the client's address, of IPv6 the first 64 bits.
	//   - "off": clients are not told apart.
	//
	// A request without the cookie, the header or the user counts for its address. Many people
	// may share an address, so it has its turn in the queue but no limit, unless Key is
	// "client".
	Key string `key:"key" was:"flow.key" value:"KEY" default:"auto" phrase:"true" doc:"what tells clients apart: KEY is 'cookie NAME', 'header NAME', user, client (its address), off, or auto: a well-known session cookie, else the address"`
	// MaxAddresses has no effect on clients that are known by their address alone.
	MaxAddresses int      `key:"max_addresses" was:"flow.max_addresses" value:"LIMIT" per:"client.per" otherwise:"no limit" doc:"from how many addresses one client may come, such as \"3 per 10m\": an account that is used in more places is shared"`
	Per          Duration `key:"per" was:"flow.per" flag:"-" least:"1s" otherwise:"10m" doc:"how long an address counts after its last request"`
	// Refuse answers requests from one address more with 429, until another address has not been
	// seen for Per. Evict admits the new address, and answers the address that was seen least
	// recently with 429 for Per.
	Excess Excess `key:"excess" was:"flow.excess" words:"refuse evict" otherwise:"refuse" doc:"what happens to one address more: refuse it, or admit it and evict the address that was seen least recently"`
}

// RequestTimeouts bounds the steps of a request.
type RequestTimeouts struct {
	// FirstByte begins anew with an interim header (103). Neither a part of a header nor what the
	// application writes to its log prolongs it.
	FirstByte    Duration `key:"first_byte" default:"1m" doc:"how long the application may take to send its response header, once it was sent the request"`
	BetweenBytes Duration `key:"between_bytes" default:"1m" doc:"how long the application may pause within its answer"`
	Request      Duration `key:"request" zero:"no limit" doc:"how long the application may take in all"`
	// An upgraded connection holds a worker.
	Upgraded  Duration `key:"upgraded" default:"10m" doc:"how long an upgraded connection (WebSocket) may carry nothing, in either direction"`
	Abandoned Duration `key:"abandoned" default:"30s" doc:"how long a worker counts as busy for a client that has left or was sent a 504"`
	// Client applies while the handler runs. The ReadTimeout and the WriteTimeout of an http.Server
	// in front are kept; deadlines that another handler has set are replaced. What is written after
	// the handler is for the server to bound.
	Client Duration `key:"client" default:"1m" doc:"how long a client may send nothing of its body, or take nothing of the answer"`
}
