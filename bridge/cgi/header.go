package cgi

import (
	"net/http"
	"net/textproto"
	"strings"
)

// rule says whether and how a request header is passed. The package comment says why.
type rule uint8

const (
	pass        rule = iota
	drop             // never passed
	forwarded        // passed from trusted proxies only
	cookie           // passed, lines joined as cookies are
	credentials      // passed unless this process has checked them
)

type headerVar struct {
	name string
	rule rule
}

// headerVars has the headers with a rule, and those that browsers, command-line clients and
// proxies usually send, so that their variable names need not be built. Keys are in canonical
// form.
var headerVars = map[string]headerVar{
	"Connection":          {rule: drop},
	"Content-Length":      {rule: drop},
	"Content-Type":        {rule: drop},
	"Expect":              {rule: drop},
	"Host":                {rule: drop}, // net/http keeps it in Request.Host
	"Http2-Settings":      {rule: drop},
	"Keep-Alive":          {rule: drop},
	"Proxy":               {rule: drop},
	"Proxy-Authenticate":  {rule: drop},
	"Proxy-Authorization": {rule: drop},
	"Proxy-Connection":    {rule: drop},
	"Te":                  {rule: drop},
	"Trailer":             {rule: drop},
	"Transfer-Encoding":   {rule: drop},
	"Upgrade":             {rule: drop},

	"Forwarded":         {"HTTP_FORWARDED", forwarded},
	"X-Forwarded-For":   {"HTTP_X_FORWARDED_FOR", forwarded},
	"X-Forwarded-Host":  {"HTTP_X_FORWARDED_HOST", forwarded},
	"X-Forwarded-Port":  {"HTTP_X_FORWARDED_PORT", forwarded},
	"X-Forwarded-Proto": {"HTTP_X_FORWARDED_PROTO", forwarded},
	"X-Real-Ip":         {"HTTP_X_REAL_IP", forwarded},

	"Authorization": {"HTTP_AUTHORIZATION", credentials},
	"Cookie":        {"HTTP_COOKIE", cookie},

	"Accept":                         {name: "HTTP_ACCEPT"},
	"Accept-Charset":                 {name: "HTTP_ACCEPT_CHARSET"},
	"Accept-Encoding":                {name: "HTTP_ACCEPT_ENCODING"},
	"Accept-Language":                {name: "HTTP_ACCEPT_LANGUAGE"},
	"Access-Control-Request-Headers": {name: "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"},
	"Access-Control-Request-Method":  {name: "HTTP_ACCESS_CONTROL_REQUEST_METHOD"},
	"Cache-Control":                  {name: "HTTP_CACHE_CONTROL"},
	"Content-Encoding":               {name: "HTTP_CONTENT_ENCODING"},
	"Depth":                          {name: "HTTP_DEPTH"},
	"Destination":                    {name: "HTTP_DESTINATION"},
	"Dnt":                            {name: "HTTP_DNT"},
	"From":                           {name: "HTTP_FROM"},
	"If-Match":                       {name: "HTTP_IF_MATCH"},
	"If-Modified-Since":              {name: "HTTP_IF_MODIFIED_SINCE"},
	"If-None-Match":                  {name: "HTTP_IF_NONE_MATCH"},
	"If-Range":                       {name: "HTTP_IF_RANGE"},
	"If-Unmodified-Since":            {name: "HTTP_IF_UNMODIFIED_SINCE"},
	"Last-Event-Id":                  {name: "HTTP_LAST_EVENT_ID"},
	"Origin":                         {name: "HTTP_ORIGIN"},
	"Pragma":                         {name: "HTTP_PRAGMA"},
	"Priority":                       {name: "HTTP_PRIORITY"},
	"Range":                          {name: "HTTP_RANGE"},
	"Referer":                        {name: "HTTP_REFERER"},
	"Sec-Ch-Ua":                      {name: "HTTP_SEC_CH_UA"},
	"Sec-Ch-Ua-Mobile":               {name: "HTTP_SEC_CH_UA_MOBILE"},
	"Sec-Ch-Ua-Platform":             {name: "HTTP_SEC_CH_UA_PLATFORM"},
	"Sec-Fetch-Dest":                 {name: "HTTP_SEC_FETCH_DEST"},
	"Sec-Fetch-Mode":                 {name: "HTTP_SEC_FETCH_MODE"},
	"Sec-Fetch-Site":                 {name: "HTTP_SEC_FETCH_SITE"},
	"Sec-Fetch-User":                 {name: "HTTP_SEC_FETCH_USER"},
	"Sec-Gpc":                        {name: "HTTP_SEC_GPC"},
	"Upgrade-Insecure-Requests":      {name: "HTTP_UPGRADE_INSECURE_REQUESTS"},
	"User-Agent":                     {name: "HTTP_USER_AGENT"},
	"Via":                            {name: "HTTP_VIA"},
	"X-Csrf-Token":                   {name: "HTTP_X_CSRF_TOKEN"},
	"X-Request-Id":                   {name: "HTTP_X_REQUEST_ID"},
	"X-Requested-With":               {name: "HTTP_X_REQUESTED_WITH"},
}

// header emits the HTTP_* variables.
func (b *builder) header(r *http.Request, c *Client) {
	if b.host != "" {
		b.put("HTTP_HOST", b.host)
	}
	named := namedByConnection(r.Header, c.Trusted, b.mapper.userHeader)
	for key, lines := range r.Header {
		if len(lines) == 0 || named[key] || b.mapper.granted.reserved[key] != "" || c.Grip.reserves(key) {
			continue
		}
		if b.mapper.underscored.hyphenated[key] {
			continue // the client must not choose which of the two becomes the variable
		}
		v, known := headerVars[key]
		if !known {
			v = b.headerVar(key)
		}
		switch {
		case v.rule == drop,
			v.rule == forwarded && !c.Trusted,
			v.rule == credentials && c.Verified:
			continue
		}
		b.put(v.name, b.value(v.rule, lines))
	}
}

// namedByConnection returns the fields that Connection names: they are meant for this hop
// only (RFC 9110 section 7.6.1). The fields about the client are excluded if the peer is a
// trusted proxy: the proxy may have passed on the Connection field of its client, who must not
// be able to remove what the proxy adds.
func namedByConnection(h http.Header, trusted bool, userHeader string) (named map[string]bool) {
	for _, line := range h["Connection"] {
		for line != "" {
			var option string
			option, line, _ = strings.Cut(line, ",")
			option = strings.Trim(option, " \t")
			if strings.EqualFold(option, "keep-alive") || strings.EqualFold(option, "close") || strings.EqualFold(option, "upgrade") {
				continue
			}
			key := textproto.CanonicalMIMEHeaderKey(option)
			if _, there := h[key]; !there || trusted && (isForwarded(key) || key == userHeader) {
				continue
			}
			if named == nil {
				named = make(map[string]bool)
			}
			named[key] = true
		}
	}
	return named
}

func isForwarded(key string) bool {
	return headerVars[key].rule == forwarded || strings.HasPrefix(key, "X-Forwarded-")
}

// headerVar returns the variable and rule of a header that is not in headerVars.
func (b *builder) headerVar(key string) headerVar {
	if !passable(key) {
		if name, listed := b.mapper.underscored.names[key]; listed {
			return headerVar{name: name}
		}
		b.mapper.dropped(key)
		return headerVar{rule: drop}
	}
	start := b.text.Len()
	b.text.WriteString("HTTP_")
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		b.text.WriteByte(c)
	}
	v := headerVar{name: b.text.String()[start:]}
	if strings.HasPrefix(key, "X-Forwarded-") || key == b.mapper.userHeader {
		v.rule = forwarded
	}
	return v
}

// passable reports whether key consists of letters, digits and hyphens in canonical form. No
// two such names become the same variable.
func passable(key string) bool {
	upper := true
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '-':
		case !isAlphanumeric(c):
			return false
		case upper && 'a' <= c && c <= 'z', !upper && 'A' <= c && c <= 'Z':
			return false
		}
		upper = c == '-'
	}
	return key != ""
}

// value joins repeated lines (RFC 9110 section 5.3). Cookies have a separator of their own (RFC
// 9113 section 8.2.3).
func (b *builder) value(r rule, lines []string) string {
	if len(lines) == 1 {
		return lines[0]
	}
	sep := ", "
	if r == cookie {
		sep = "; "
	}
	start := b.text.Len()
	for i, line := range lines {
		if i > 0 {
			b.text.WriteString(sep)
		}
		b.text.WriteString(line)
	}
	return b.text.String()[start:]
}
