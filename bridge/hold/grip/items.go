package grip

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/hold"
)

// itemJSON is one item as publishers write it.
type itemJSON struct {
	Channel string                     `json:"channel"`
	ID      text                       `json:"id"`
	PrevID  text                       `json:"prev-id"`
	Formats map[string]json.RawMessage `json:"formats"`
	Meta    map[string]string          `json:"meta"`

	// Formats may stand beside the rest, too.
	HTTPResponse json.RawMessage `json:"http-response"`
	HTTPStream   json.RawMessage `json:"http-stream"`
	WSMessage    json.RawMessage `json:"ws-message"`
}

// text is a string, or a number that a publisher has for one.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var n json.Number
	if len(b) > 0 && b[0] != '"' {
		if err := json.Unmarshal(b, &n); err != nil {
			return err
		}
		*t = text(n)
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// answerJSON is an http-response.
type answerJSON struct {
	Action  string     `json:"action"`
	Filters *[]string  `json:"content-filters"`
	Code    int        `json:"code"`
	Headers fieldsJSON `json:"headers"`
	Body    *string    `json:"body"`
	BodyBin []byte     `json:"body-bin"`
}

// streamJSON is an http-stream.
type streamJSON struct {
	Action     string    `json:"action"`
	Filters    *[]string `json:"content-filters"`
	Content    *string   `json:"content"`
	ContentBin []byte    `json:"content-bin"`
}

func (a *answerJSON) body() ([]byte, error) {
	if a.Body != nil && a.BodyBin != nil {
		return nil, fmt.Errorf("there are both body and body-bin")
	}
	if a.Body != nil {
		return []byte(*a.Body), nil
	}
	return a.BodyBin, nil
}

// fieldsJSON is a header: an object, or a list of pairs.
type fieldsJSON [][2]string

func (f *fieldsJSON) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[][2]string)(f))
	}
	var object map[string]string
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	for name, value := range object {
		*f = append(*f, [2]string{name, value})
	}
	slices.SortFunc(*f, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return nil
}

// ofConnection are fields that this program writes itself.
var ofConnection = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// fields returns the fields that may be sent, with names in canonical form.
func (f fieldsJSON) fields() (fields [][2]string, err error) {
	for _, field := range f {
		name := textproto.CanonicalMIMEHeaderKey(field[0])
		switch {
		case !isToken(name):
			return nil, fmt.Errorf("headers: %.50q is no name of a field", field[0])
		case strings.ContainsAny(field[1], "\r\n\x00"):
			return nil, fmt.Errorf("headers: %s: %.50q has a line end or NUL", name, field[1])
		case slices.Contains(ofConnection, name), strings.HasPrefix(name, Prefix):
			continue // as with every answer of an application
		}
		fields = append(fields, [2]string{name, field[1]})
	}
	return fields, nil
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// ParseItems reads what a publisher has sent: {"items": [...]}. No message may have more than so many
// bytes.
func ParseItems(body []byte, most int) ([]*hold.Item, error) {
	var sent struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, fmt.Errorf("the body is no JSON that can be read: %w", err)
	}
	if len(sent.Items) == 0 {
		return nil, fmt.Errorf(`there are no items: want {"items": [{"channel": ..., "formats": {...}}]}`)
	}
	items := make([]*hold.Item, len(sent.Items))
	for n, raw := range sent.Items {
		item, err := parseItem(raw, most)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", n, err)
		}
		items[n] = item
	}
	return items, nil
}

func parseItem(raw []byte, most int) (*hold.Item, error) {
	var said itemJSON
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, err
	}
	if err := checkName(said.Channel); err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if err := cmp.Or(checkID(string(said.ID)), checkID(string(said.PrevID))); err != nil {
		return nil, err
	}
	item := &hold.Item{Channel: said.Channel, ID: string(said.ID), PrevID: string(said.PrevID), Sender: said.Meta["sender"], RequireSub: said.Meta["require_sub"]}
	if users := said.Meta["skip_users"]; users != "" {
		for user := range strings.SplitSeq(users, ",") {
			item.SkipUsers = append(item.SkipUsers, strings.TrimSpace(user))
		}
	}
	formats := map[string]json.RawMessage{"http-response": said.HTTPResponse, "http-stream": said.HTTPStream, "ws-message": said.WSMessage}
	maps.Copy(formats, said.Formats)
	known := false
	for name, format := range formats {
		if len(format) == 0 {
			continue
		}
		known = true
		var err error
		switch name {
		case "http-response":
			item.Response, err = parseAnswer(format)
		case "http-stream":
			item.Stream, err = parseStream(format)
		case "ws-message": // nobody waits for one
		default:
			err = fmt.Errorf("want http-response, http-stream or ws-message")
		}
		if err != nil {
			return nil, fmt.Errorf("formats: %.50s: %w", name, err)
		}
	}
	if !known {
		return nil, fmt.Errorf("formats: there is none, want http-response or http-stream")
	}
	for _, m := range []*hold.Message{item.Response, item.Stream} {
		if m != nil && len(m.Body) > most {
			return nil, fmt.Errorf("the message has %d bytes, more than hold.message allows (%d)", len(m.Body), most)
		}
	}
	return item, nil
}

func parseAnswer(raw []byte) (*hold.Message, error) {
	var said answerJSON
	if err := strict(raw, &said); err != nil {
		return nil, err
	}
	m := &hold.Message{Status: said.Code}
	var err error
	if m.Action, err = action(said.Action); err != nil {
		return nil, err
	}
	if m.Action == hold.Close {
		return nil, fmt.Errorf("action close: an answer ends by itself")
	}
	if m.Status == 0 {
		m.Status = http.StatusOK
	}
	if m.Status < 200 || m.Status > 599 {
		return nil, fmt.Errorf("code: is %d, want 200 to 599", m.Status)
	}
	if m.Body, err = said.body(); err != nil {
		return nil, err
	}
	if err = contentFilters(m, said.Filters); err != nil {
		return nil, err
	}
	m.Fields, err = said.Headers.fields()
	return m, err
}

func parseStream(raw []byte) (*hold.Message, error) {
	var said streamJSON
	if err := strict(raw, &said); err != nil {
		return nil, err
	}
	a, err := action(said.Action)
	if err != nil {
		return nil, err
	}
	m := &hold.Message{Action: a, Body: said.ContentBin}
	switch {
	case said.Content != nil && said.ContentBin != nil:
		return nil, fmt.Errorf("there are both content and content-bin")
	case said.Content != nil:
		m.Body = []byte(*said.Content)
	}
	if a == hold.Send && len(m.Body) == 0 {
		return nil, fmt.Errorf("there is no content")
	}
	return m, contentFilters(m, said.Filters)
}

// contentFilters has m be only for the subscriptions that have these, if there are some.
func contentFilters(m *hold.Message, names *[]string) error {
	if names == nil {
		return nil
	}
	m.Filtered = true
	for _, name := range *names {
		if name != "var-subst" {
			return fmt.Errorf("content-filters: %.50q is not known, want var-subst", name)
		}
		m.Content |= hold.VarSubst
	}
	return nil
}

// strict reads an object that must be one.
func strict(raw []byte, to any) error {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' {
		return fmt.Errorf("want an object")
	}
	return json.Unmarshal(raw, to)
}

func action(name string) (hold.Action, error) {
	switch name {
	case "", "send":
		return hold.Send, nil
	case "hint", "refresh": // the client itself has nothing that could be refreshed
		return hold.Hint, nil
	case "close":
		return hold.Close, nil
	}
	return 0, fmt.Errorf("action %.50q, want send, hint, refresh or close", name)
}
