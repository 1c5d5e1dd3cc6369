package convert

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/config"
)

var staticNames = regexp.MustCompile(`(?i)/(static|media|images?|icons?|img|css|js|javascript|htdocs|uploads|files|assets|chrome|common|site)(/|$)`)

// holdsPHP reports a directory of PHP scripts: as it is on this machine, or by its name.
func holdsPHP(dir string) bool {
	if scripts, err := filepath.Glob(filepath.Join(dir, "*.php")); err == nil && len(scripts) > 0 {
		return true
	}
	if all, err := filepath.Glob(filepath.Join(dir, "*")); err == nil && len(all) > 0 {
		return false
	}
	return !staticNames.MatchString(dir)
}

// proxyPass translates ProxyPass /path URL, or within a location ProxyPass URL.
func (t *apacheTranslator) proxyPass(h *host, d *directive, in scope, all []*directive) {
	url, to := d.arg(0), d.arg(1)
	if in.path != "" && strings.Contains(url, "://") {
		url, to = in.path, url
	}
	if to == "!" {
		if slices.ContainsFunc(all, func(a *directive) bool {
			return strings.HasSuffix(strings.ToLower(a.name), "alias") && (isIn(strings.TrimSuffix(url, "/"), a.arg(0)) || isIn(strings.TrimSuffix(a.arg(0), "/"), url))
		}) {
			return // what it is for has a path of its own
		}
		t.leave(d, "what is at this path goes to the application: give it static_dirs")
		return
	}
	backend, uri, ok := proxyAddress(to)
	if !ok {
		t.leave(d, "is no address of an application that Sluice knows")
		return
	}
	if trimmed := strings.TrimSuffix(uri, "/"); strings.HasPrefix(to, "http") && trimmed != strings.TrimSuffix(url, "/") && (trimmed != "" || url != "/") {
		t.leave(d, "the path is not put in place of "+url+": the application gets the path as the client sends it")
	}
	t.site(h, d, url, t.application([]string{backend}, nil), config.PresetApp)
}

// wsgi translates WSGIScriptAlias: the program is run by uWSGI, as mod_wsgi runs it in processes of its own.
func (t *apacheTranslator) wsgi(h *host, d *directive, all []*directive) {
	group := ""
	for _, c := range all {
		if strings.EqualFold(c.name, "WSGIProcessGroup") {
			group = c.arg(0)
		}
	}
	options := map[string]string{}
	for _, a := range d.args[min(2, len(d.args)):] {
		key, value, _ := strings.Cut(a, "=")
		options[key] = value
	}
	if options["process-group"] != "" {
		group = options["process-group"]
	}
	daemon := t.daemons[group]
	if daemon == nil && len(t.daemons) == 1 {
		for _, daemon = range t.daemons {
		}
	}
	if daemon == nil {
		t.leave(d, "it runs within Apache; Sluice starts it by uWSGI, with 15 threads")
		daemon = &directive{}
	}
	for _, a := range daemon.args {
		key, value, _ := strings.Cut(a, "=")
		options[key] = value
	}
	number := func(key string, otherwise int) int {
		if n, err := strconv.Atoi(options[key]); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	processes, threads := number("processes", 1), number("threads", 15)
	command := []string{"uwsgi", "--plugin", "python3", "--wsgi-file", d.arg(1), "--threads", strconv.Itoa(threads), "--buffer-size", "65535"}
	if options["python-home"] != "" {
		command = append(command, "--virtualenv", options["python-home"])
	}
	if processes > 1 {
		command = append(command, "--master", "--processes", strconv.Itoa(processes), "--socket", "{socket}")
	}
	app := t.applicationApart(daemon.String(), strings.TrimSuffix(d.arg(1), ".wsgi"), nil, command)
	app.Protocol, app.Workers, app.Spawn.Dir = config.UWSGI, processes*threads, options["home"]
	if app.Spawn.User = options["user"]; options["python-path"] != "" {
		app.Spawn.Env = map[string]string{"PYTHONPATH": options["python-path"]}
	}
	for key := range options {
		if !slices.Contains(strings.Fields("processes threads python-home python-path home user group display-name process-group application-group lang locale maximum-requests inactivity-timeout"), key) && strings.Contains(strings.Join(daemon.args, " "), key+"=") {
			t.leave(daemon, key+" is not carried over")
		}
	}
	t.site(h, d, d.arg(0), app, config.PresetApp)
}

// require translates Require: who may ask for what.
func (t *apacheTranslator) require(h *host, d *directive, in scope, all []*directive) {
	switch kind := strings.ToLower(d.arg(0)); {
	case kind == "valid-user", kind == "user", kind == "group":
		if kind != "valid-user" {
			t.leave(d, "Sluice lets all users of the file in")
		}
		own := slices.ContainsFunc(all, func(c *directive) bool { return strings.EqualFold(c.name, "AuthUserFile") })
		if h.users != "" && (!own || in == scope{}) {
			t.users(h, d, h.users, in, all)
		}
		return
	case strings.EqualFold(strings.Join(d.args, " "), "all granted"):
		return
	case !strings.EqualFold(strings.Join(d.args, " "), "all denied"):
		t.leave(d, "Sluice lets all addresses and users in")
		return
	}
	t.denied(h, d, in)
}

// deny translates Deny, which Require has taken the place of. With "Order allow,deny" it counts whatever Allow says.
func (t *apacheTranslator) deny(h *host, d *directive, in scope, all []*directive) {
	isSaid := func(name, args string) bool {
		return slices.ContainsFunc(all, func(c *directive) bool {
			return strings.EqualFold(c.name, name) && (args == "" || strings.EqualFold(strings.Join(c.args, " "), args))
		})
	}
	last := isSaid("Order", "allow,deny") || isSaid("Order", "mutual-failure")
	switch fromAll := strings.EqualFold(strings.Join(d.args, " "), "from all"); {
	case !last && isSaid("Allow", "from all"): // to all
	case !fromAll || !last && isSaid("Allow", ""):
		t.leave(d, "Sluice lets all addresses in")
	default:
		t.denied(h, d, in)
	}
}

// denied hides what nobody may ask for.
func (t *apacheTranslator) denied(h *host, d *directive, in scope) {
	url, known := in.url(h)
	switch {
	case in.isAbove(h): // what no other section grants
	case in.regex != "":
		t.hide(h, d, in.regex)
	case in.files != "" && strings.Contains(in.files, ".ht"):
	case in.files != "":
		t.leave(d, "hide has paths; names of files in every directory cannot be hidden")
	case in.dir == "/" || url == "" && in.dir == "": // what no other section grants
	case known && url != "":
		t.hidePath(h, d, url)
		h.below(url, d, func(s *config.HostedSite) {
			if isIn(s.Mount, url) {
				t.leave(d, "hide hides no whole site: "+s.Uses+" is at "+s.Mount)
			}
		})
	case !known && in.dir != "": // it has no URL
	default:
		t.leave(d, "hide hides no whole site")
	}
}

// redirect2 translates Redirect and RedirectMatch.
func (t *apacheTranslator) redirect2(h *host, d *directive, name string) {
	args, status := d.args, map[string]string{"redirectpermanent": "301"}[name]
	if status == "" {
		status = "302"
	}
	if len(args) == 3 {
		if named, ok := map[string]string{"permanent": "301", "temp": "302", "seeother": "303"}[args[0]]; ok {
			status = named
		} else {
			status = args[0]
		}
		args = args[1:]
	}
	if len(args) == 2 && slices.Contains([]string{"gone", "403", "404", "410"}, args[0]) { // there is no target
		if name == "redirectmatch" {
			t.hide(h, d, args[1])
		} else {
			t.hidePath(h, d, args[1])
		}
		return
	}
	if len(args) != 2 || !strings.HasPrefix(args[0], "/") && name != "redirectmatch" {
		t.leave(d, "Sluice sends no answers of its own but redirects")
		return
	}
	if name == "redirectmatch" {
		t.rewriteRule(h, d, args[0], args[1], '$', status)
		return
	}
	from, to := strings.TrimSuffix(args[0], "/"), strings.TrimSuffix(args[1], "/")
	if from == "" {
		t.redirect(h, d, []string{"/*"}, to, true, status, t.secure[d])
		return
	}
	h.at(from, d, func(s *config.HostedSite) {
		add(&s.Redirect, from+" "+args[1]+" "+status)
		add(&s.Redirect, from+"/* "+to+"/* "+status)
	})
}

// rewriteRule2 translates RewriteRule with its conditions.
func (t *apacheTranslator) rewriteRule2(h *host, d *directive, conditions []*directive, in scope) {
	flags := strings.ToUpper(strings.Trim(d.arg(2), "[]"))
	if t.securing(h, d, conditions, flags) {
		return
	}
	missing := false
	for _, c := range conditions {
		switch test := c.arg(0) + " " + c.arg(1); test {
		case "%{REQUEST_FILENAME} !-f", "%{REQUEST_FILENAME} !-d", "%{REQUEST_FILENAME} !-l", "%{DOCUMENT_ROOT}%{REQUEST_URI} !-f", "%{DOCUMENT_ROOT}%{REQUEST_URI} !-d":
			missing = true
		default:
			t.leave(c, "rules of Sluice have no conditions; the rule after it is not carried over either")
			t.leave(d, "it has conditions")
			return
		}
	}
	if in.isAbove(h) {
		t.leave(d, "its paths begin above the root of the host")
		return
	}
	expression, target := d.arg(0), d.arg(1)
	if base, ok := in.url(h); in.dir != "" && ok { // there, the path is without that of the directory
		after, anchored := strings.CutPrefix(expression, "^")
		if anchored {
			expression = "^" + regexp.QuoteMeta(base+"/") + strings.TrimPrefix(after, "/?")
		}
		if !strings.HasPrefix(target, "/") && !strings.Contains(target, "://") && target != "-" {
			target = base + "/" + target
		}
	}
	status := ""
	for flag := range strings.SplitSeq(flags, ",") {
		switch name, value, _ := strings.Cut(flag, "="); name {
		case "R":
			if status = value; status == "" {
				status = "302"
			}
		case "F", "G":
			t.hide(h, d, expression)
			return
		case "", "L", "END", "QSA", "PT", "NC", "NE", "B", "DPI":
		default:
			t.leave(d, "the flag "+flag+" is not carried over")
			return
		}
	}
	switch {
	case target == "-":
	case missing && status == "":
		t.missing(h, d, expression, target, '$')
	default:
		t.rewriteRule(h, d, expression, target, '$', status)
	}
}

// index translates DirectoryIndex, of which several in one section add up.
func (t *apacheTranslator) index(h *host, d *directive, all []*directive, url string, known bool) {
	isFirst := d == all[slices.IndexFunc(all, func(c *directive) bool { return strings.EqualFold(c.name, "DirectoryIndex") })]
	if url == "" && known {
		if isFirst {
			h.index = nil
		}
		h.index = append(slices.Clone(h.index), d.args...)
		t.used[d] = true
		return
	}
	t.ofSite(h, d, url, known, "index", func(s *config.HostedSite) {
		if isFirst {
			s.Index = nil
		}
		s.Index = append(s.Index, indexOfPHP(d.args)...)
	})
}

// fallbackResource translates FallbackResource, of which the last counts.
func (t *apacheTranslator) fallbackResource(h *host, d *directive, url string, known bool) {
	to := strings.Replace(d.arg(0), "disabled", "", 1)
	if to != "" && !strings.HasPrefix(to, "/") || strings.ContainsAny(to, "$%*") {
		t.leave(d, "a target that fallback cannot say")
		return
	}
	t.ofSite(h, d, cmp.Or(url, "/"), known, "fallback", func(s *config.HostedSite) { s.Fallback = to })
}

// ofSite says something that holds for a whole site: at a path, if one begins there; for all sites if url is "".
func (t *apacheTranslator) ofSite(h *host, d *directive, url string, known bool, key string, apply func(*config.HostedSite)) {
	switch {
	case !known:
		t.leaveUnused(d, key+" is for a whole site")
	case url == "":
		h.everywhere(d, apply)
	default:
		h.at(url, d, func(s *config.HostedSite) {
			if s.Mount != strings.TrimSuffix(url, "/") {
				t.leave(d, key+" is for a whole site")
				return
			}
			apply(s)
		})
	}
}

// everyFcgid says something about the applications of a host that mod_fcgid starts.
func (t *apacheTranslator) everyFcgid(h *host, d *directive, apply func(*config.HostedSite)) {
	h.everywhere(d, func(s *config.HostedSite) {
		if t.fcgid[s.Uses] {
			apply(s)
		}
	})
}

// timeout translates what each way to an application calls its time-out.
func (t *apacheTranslator) timeout(h *host, d *directive, name string, wait config.Duration) {
	h.everywhere(d, func(s *config.HostedSite) {
		isFcgid, isProxied := t.fcgid[s.Uses], len(t.named(s.Uses).Backends) > 0
		if name == "timeout" && !isFcgid || name == "proxytimeout" && isProxied || name == "fcgidiotimeout" && isFcgid {
			s.Timeouts.FirstByte, s.Timeouts.BetweenBytes = wait, wait
		}
	})
}

// environment says something about the environment of the applications at a path.
func (t *apacheTranslator) environment(h *host, d *directive, url string, apply func(*config.HostedSite)) {
	if url == "" {
		h.everywhere(d, apply)
	} else {
		h.at(url, d, apply)
	}
}

// users has those who ask for what a section is about log in.
func (t *apacheTranslator) users(h *host, d *directive, file string, in scope, all []*directive) {
	url, known := in.url(h)
	if !known {
		t.leaveUnused(d, "auth.paths has paths, not expressions")
		return
	}
	realm := ""
	for _, c := range all {
		if strings.EqualFold(c.name, "AuthName") {
			realm = c.arg(0)
		}
	}
	h.below(url, d, func(s *config.HostedSite) {
		s.Auth.Realm = realm
		login(s, file, cmp.Or(strings.TrimSuffix(url, "/"), s.Mount))
	})
}

// elsewhere is for a section that is about none of a host's files. What is in it is another host's, or is said.
func (t *apacheTranslator) elsewhere(dir string, block []*directive) {
	for _, d := range block {
		switch name := strings.ToLower(d.name); name {
		case "require", "allowoverride":
		case "setenv", "unsetenv", "fallbackresource", "directoryindex", "rewriterule", "redirect", "redirectmatch", "authuserfile", "limitrequestbody", "sethandler", "fcgidwrapper":
			t.leaveUnused(d, "no host with an application has files in "+dir)
		default:
			if d.open {
				t.elsewhere(dir, d.block)
			} else {
				t.unknown(d, name)
			}
		}
	}
}
