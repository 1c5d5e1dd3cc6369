package grip

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-proxy/sluice/bridge/hold"
)

// Prefix is what the names of all GRIP fields begin with, in canonical form.
const Prefix = "Grip-"

// Features is the Grip-Feature field: what this program can do.
const Features = "status, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, filter:var-subst"

// instructType is the media type of an answer whose body says what to do.
const instructType = "application/grip-instruct"

const (
	// DefaultTimeout is how long a client is held for one answer if nothing is said.
	DefaultTimeout = 55 * time.Second
	// MaxTimeout is the longest time that may be said.
	MaxTimeout = 24 * time.Hour
	// DefaultLinkTimeout is how long a stream is silent before what comes next is asked for.
	DefaultLinkTimeout = 120 * time.Second
	// defaultKeepAlive is how long a stream is silent before it is kept alive.
	defaultKeepAlive = 55 * time.Second
)

// Instruct is what an application says is to be done with a client.
type Instruct struct {
	Hold    bool // false: the answer goes on with Next at once
	Wait    hold.Instruct
	Timeout time.Duration // of a Hold of mode hold.Response
	Status  int           // 0: the answer's
	Keep    KeepAlive
	Next    Link   // where to ask for what was missed
	Gone    string // path and query: where to tell that the client is gone; "": nowhere

	// Of application/grip-instruct: what the answer is. HasAnswer is false otherwise.
	HasAnswer bool
	Fields    [][2]string
	Body      []byte
}

// KeepAlive is what a stream is sent so that it does not seem dead.
type KeepAlive struct {
	Data     []byte // nil: nothing
	Every    time.Duration
	Interval bool // also while there are messages
}

// Link is a target that the application names.
type Link struct {
	Target  string        // path and query; "": there is none
	Timeout time.Duration // of Next: how long a stream is silent before it is asked for
}

// Instructs reports whether an answer with this header says what to do with the client.
func Instructs(h http.Header) bool {
	return len(h["Grip-Hold"]) > 0 || len(h["Grip-Link"]) > 0 || isInstruct(h)
}

func isInstruct(h http.Header) bool {
	v := h["Content-Type"]
	if len(v) == 0 || len(v[0]) < len(instructType) {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(v[0])
	return err == nil && mediaType == instructType
}

// Parse reads the instruction of an answer, for which Instructs is true. It may wait on so many
// channels.
func Parse(h http.Header, body []byte, channels int) (*Instruct, error) {
	in := &Instruct{Timeout: DefaultTimeout, Keep: KeepAlive{Every: defaultKeepAlive}}
	if err := in.fields(h); err != nil {
		return nil, err
	}
	if isInstruct(h) {
		if err := in.json(body); err != nil {
			return nil, fmt.Errorf("%s: %w", instructType, err)
		}
	}
	return in, in.check(channels)
}

func (in *Instruct) check(channels int) error {
	w := &in.Wait
	switch {
	case in.Hold && len(w.Subscriptions) == 0:
		return fmt.Errorf("Grip-Hold without a Grip-Channel: name at least one channel")
	case len(w.Subscriptions) > channels:
		return fmt.Errorf("Grip-Channel: %d channels, more than hold.channels allows (%d)", len(w.Subscriptions), channels)
	case in.Timeout < time.Second || in.Timeout > MaxTimeout:
		return fmt.Errorf("Grip-Timeout: is %v, want 1 to %d seconds", in.Timeout, MaxTimeout/time.Second)
	case in.Status != 0 && (in.Status < 200 || in.Status > 599):
		return fmt.Errorf("Grip-Status: is %d, want 200 to 599", in.Status)
	case in.Keep.Data != nil && in.Keep.Every < time.Second:
		return fmt.Errorf("Grip-Keep-Alive: timeout is %v, want a second at least", in.Keep.Every)
	}
	if !in.Hold {
		w.Mode = hold.Stream
	}
	return nil
}

// Strip removes the GRIP fields of an answer but for those that Grip-Expose-Headers names.
func Strip(h http.Header) {
	var exposed []string
	for name := range list(h["Grip-Expose-Headers"], ',') {
		exposed = append(exposed, textproto.CanonicalMIMEHeaderKey(name))
	}
	for name := range h {
		if strings.HasPrefix(name, Prefix) && !slices.Contains(exposed, name) {
			delete(h, name)
		}
	}
}

func (in *Instruct) fields(h http.Header) (err error) {
	if mode := h["Grip-Hold"]; len(mode) > 0 {
		if err := in.mode(mode[0]); err != nil {
			return fmt.Errorf("Grip-Hold: %w", err)
		}
	}
	for entry := range list(h["Grip-Channel"], ',') {
		if err := in.channel(entry); err != nil {
			return fmt.Errorf("Grip-Channel: %w", err)
		}
	}
	for entry := range list(h["Grip-Set-Meta"], ',') {
		name, value, _ := strings.Cut(entry, "=")
		in.meta(strings.TrimSpace(name), unquote(value))
	}
	if v := h["Grip-Timeout"]; len(v) > 0 {
		if in.Timeout, err = seconds(v[0]); err != nil {
			return fmt.Errorf("Grip-Timeout: %w", err)
		}
	}
	if v := h["Grip-Status"]; len(v) > 0 {
		if in.Status, err = strconv.Atoi(strings.TrimSpace(v[0])); err != nil {
			return fmt.Errorf("Grip-Status: %.50q is no number", v[0])
		}
	}
	if v := h["Grip-Keep-Alive"]; len(v) > 0 {
		if err := in.Keep.parse(v[0]); err != nil {
			return fmt.Errorf("Grip-Keep-Alive: %w", err)
		}
	}
	for entry := range list(h["Grip-Link"], ',') {
		if err := in.link(entry); err != nil {
			return fmt.Errorf("Grip-Link: %w", err)
		}
	}
	return nil
}

func (in *Instruct) mode(s string) error {
	switch strings.TrimSpace(s) {
	case "response":
		in.Wait.Mode = hold.Response
	case "stream":
		in.Wait.Mode = hold.Stream
	default:
		return fmt.Errorf("is %.50q, want response or stream", s)
	}
	in.Hold = true
	return nil
}

// meta takes what the application says of the client: user is for the filters of delivery, and all of it
// for var-subst.
func (in *Instruct) meta(name, value string) {
	if name == "user" {
		in.Wait.User = value
	}
	if in.Wait.Vars == nil {
		in.Wait.Vars = make(map[string]string)
	}
	in.Wait.Vars[strings.Clone(name)] = strings.Clone(value) // which are parts of a header
}

// channel takes a channel and its parameters.
func (in *Instruct) channel(entry string) error {
	name, params := cut(entry, ';')
	s := hold.Subscription{Channel: name}
	for param := range list([]string{params}, ';') {
		key, value, _ := strings.Cut(param, "=")
		value = unquote(value)
		switch strings.TrimSpace(key) {
		case "prev-id":
			s.PrevID = value
		case "filter":
			f, err := filter(value)
			if err != nil {
				return err
			}
			s.Filter |= f
		default:
			return fmt.Errorf("%.50q: unknown parameter, want prev-id or filter", param)
		}
	}
	return in.subscribe(s)
}

func (in *Instruct) subscribe(s hold.Subscription) error {
	if err := cmp.Or(checkName(s.Channel), checkID(s.PrevID)); err != nil {
		return err
	}
	for i := range in.Wait.Subscriptions {
		if in.Wait.Subscriptions[i].Channel == s.Channel {
			return fmt.Errorf("%.50q is named twice", s.Channel)
		}
	}
	in.Wait.Subscriptions = append(in.Wait.Subscriptions, s)
	return nil
}

// maxName is the longest name of a channel, and the longest id, in bytes.
const maxName = 1 << 10

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name of a channel is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name of a channel has %d bytes, want %d at most", len(name), maxName)
	case hasControl(name):
		return fmt.Errorf("the name of a channel, %.50q, has a control character", name)
	}
	return nil
}

func checkID(id string) error {
	switch {
	case len(id) > maxName:
		return fmt.Errorf("an id has more than %d bytes", maxName)
	case hasControl(id):
		return fmt.Errorf("the id %.50q has a control character", id)
	}
	return nil
}

// hasControl reports whether s cannot stand in a field.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

func filter(name string) (hold.Filter, error) {
	switch name {
	case "skip-self":
		return hold.SkipSelf, nil
	case "skip-users":
		return hold.SkipUsers, nil
	case "require-sub":
		return hold.RequireSub, nil
	case "var-subst":
		return hold.VarSubst, nil
	}
	return 0, fmt.Errorf("filter %.50q is not known, want skip-self, skip-users, require-sub or var-subst", name)
}

// parse takes DATA; format=raw|cstring|base64; mode=idle|interval; timeout=SECONDS.
func (k *KeepAlive) parse(s string) (err error) {
	data, params := cut(s, ';')
	format := "raw"
	for param := range list([]string{params}, ';') {
		key, value, _ := strings.Cut(param, "=")
		switch value = unquote(value); strings.TrimSpace(key) {
		case "format":
			format = value
		case "mode":
			err = k.mode(value)
		case "timeout":
			k.Every, err = seconds(value)
		default:
			err = fmt.Errorf("%.50q: unknown parameter, want format, mode or timeout", param)
		}
		if err != nil {
			return err
		}
	}
	switch format {
	case "raw":
		k.Data = []byte(data)
	case "cstring":
		k.Data, err = cString(data)
	case "base64":
		k.Data, err = base64.StdEncoding.DecodeString(data)
	default:
		err = fmt.Errorf("format %.50q, want raw, cstring or base64", format)
	}
	return err
}

func (k *KeepAlive) mode(s string) error {
	switch s {
	case "idle":
		k.Interval = false
	case "interval":
		k.Interval = true
	default:
		return fmt.Errorf("mode %.50q, want idle or interval", s)
	}
	return nil
}

// cString undoes the escapes of C that libraries use.
func cString(s string) ([]byte, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		if i++; i == len(s) {
			return nil, fmt.Errorf("%.50q ends in a backslash", s)
		}
		switch s[i] {
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case '0':
			b = append(b, 0)
		case '\\', '"', '\'', ';', ',':
			b = append(b, s[i])
		default:
			return nil, fmt.Errorf("%.50q has the escape \\%c, want one of n, r, t, 0 and \\", s, s[i])
		}
	}
	return b, nil
}

// link takes <TARGET>; rel=next; timeout=SECONDS, and <TARGET>; rel=gone.
func (in *Instruct) link(entry string) error {
	target, params := cut(entry, ';')
	uri, begins := strings.CutPrefix(target, "<")
	uri, ends := strings.CutSuffix(uri, ">")
	if !begins || !ends || !strings.HasPrefix(uri, "/") || strings.HasPrefix(uri, "//") {
		return fmt.Errorf("%.100q: want <PATH>, a path and query of this site", entry)
	}
	l, rel, timed := Link{Target: uri, Timeout: DefaultLinkTimeout}, "", false
	for param := range list([]string{params}, ';') {
		key, value, _ := strings.Cut(param, "=")
		switch value = unquote(value); strings.TrimSpace(key) {
		case "rel":
			rel = value
		case "timeout":
			var err error
			timed = true
			if l.Timeout, err = seconds(value); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%.50q: unknown parameter, want rel or timeout", param)
		}
	}
	switch {
	case rel == "next":
		in.Next = l
	case rel == "gone" && timed:
		return fmt.Errorf("timeout means nothing with rel=gone")
	case rel == "gone":
		in.Gone = uri
	default:
		return fmt.Errorf("rel is %.50q, want next or gone", rel)
	}
	return nil
}

func seconds(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.50q is no number of seconds", s)
	}
	return time.Duration(n) * time.Second, nil
}

// ofSeconds returns n seconds, as far as a time.Duration can be as long.
func ofSeconds(n int) time.Duration {
	const most = int64(math.MaxInt64 / time.Second)
	return time.Duration(max(-most, min(int64(n), most))) * time.Second
}

// list yields the elements of field lines, which sep separates outside of quotes and angle brackets.
func list(lines []string, sep byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				var element string
				if element, line = cut(line, sep); element != "" && !yield(element) {
					return
				}
			}
		}
	}
}

// cut cuts s at the first sep outside of quotes and angle brackets, and trims both parts.
func cut(s string, sep byte) (before, after string) {
	quoted, inside := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			inside = true
		case c == '>' && !quoted:
			inside = false
		case c == sep && !quoted && !inside:
			return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:])
		}
	}
	return strings.TrimSpace(s), ""
}

// unquote returns the value of a parameter (RFC 9110, section 5.6.4).
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// instructJSON is the body of an application/grip-instruct answer.
type instructJSON struct {
	Hold *struct {
		Mode     string `json:"mode"`
		Channels []struct {
			Name    string   `json:"name"`
			PrevID  string   `json:"prev-id"`
			Filters []string `json:"filters"`
		} `json:"channels"`
		Timeout   *int `json:"timeout"`
		KeepAlive *struct {
			Content    *string `json:"content"`
			ContentBin []byte  `json:"content-bin"`
			Timeout    *int    `json:"timeout"`
			Mode       string  `json:"mode"`
		} `json:"keep-alive"`
		Meta map[string]string `json:"meta"`
	} `json:"hold"`
	Response answerJSON `json:"response"`
}

func (in *Instruct) json(body []byte) error {
	var said instructJSON
	if err := json.Unmarshal(body, &said); err != nil {
		return err
	}
	var err error
	in.HasAnswer = true
	if said.Response.Code != 0 {
		in.Status = said.Response.Code
	}
	if in.Fields, err = said.Response.Headers.fields(); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	if in.Body, err = said.Response.body(); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	h := said.Hold
	if h == nil {
		return nil
	}
	if err := in.mode(h.Mode); err != nil {
		return fmt.Errorf("hold.mode: %w", err)
	}
	for _, c := range h.Channels {
		s := hold.Subscription{Channel: c.Name, PrevID: c.PrevID}
		for _, name := range c.Filters {
			f, err := filter(name)
			if err != nil {
				return fmt.Errorf("hold.channels: %w", err)
			}
			s.Filter |= f
		}
		if err := in.subscribe(s); err != nil {
			return fmt.Errorf("hold.channels: %w", err)
		}
	}
	for name, value := range h.Meta {
		in.meta(name, value)
	}
	if h.Timeout != nil {
		in.Timeout = ofSeconds(*h.Timeout)
	}
	if k := h.KeepAlive; k != nil {
		if in.Keep.Data = k.ContentBin; k.Content != nil {
			in.Keep.Data = []byte(*k.Content)
		}
		if k.Timeout != nil {
			in.Keep.Every = ofSeconds(*k.Timeout)
		}
		if k.Mode != "" {
			return in.Keep.mode(k.Mode)
		}
	}
	return nil
}
