package grip

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-proxy/sluice/bridge/hold"
)

// What the libraries, and people with curl, send.
func TestParseItems(t *testing.T) {
	got, err := ParseItems([]byte(`{"items": [
		{"channel": "a", "id": "2", "prev-id": 1, "formats": {
			"http-response": {"code": 201, "reason": "Made", "headers": {"content-type": "text/plain", "Connection": "close"}, "body": "b\n"},
			"http-stream": {"content-bin": "AQI="},
			"ws-message": {"content": "w"}}},
		{"channel": "b", "http-stream": {"action": "close", "content": ""}, "meta": {"sender": "me", "skip_users": "x, y", "require_sub": "a"}},
		{"channel": "c", "formats": {"http-response": {"action": "hint"}}},
		{"channel": "d", "formats": {"ws-message": {"content": "w"}}},
		{"channel": "e", "formats": {"http-stream": {"content": "w", "content-filters": ["var-subst"]}, "http-response": {"body": "w", "content-filters": []}}}]}`), 100)
	want := []*hold.Item{
		{
			Channel: "a", ID: "2", PrevID: "1", Stream: &hold.Message{Body: []byte{1, 2}},
			Response: &hold.Message{Status: 201, Fields: [][2]string{{"Content-Type", "text/plain"}}, Body: []byte("b\n")},
		},
		{Channel: "b", Sender: "me", SkipUsers: []string{"x", "y"}, RequireSub: "a", Stream: &hold.Message{Action: hold.Close, Body: []byte{}}},
		{Channel: "c", Response: &hold.Message{Action: hold.Hint, Status: 200}},
		{Channel: "d"},
		{
			Channel: "e", Stream: &hold.Message{Body: []byte("w"), Filtered: true, Content: hold.VarSubst},
			Response: &hold.Message{Status: 200, Body: []byte("w"), Filtered: true},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v", err, got)
	}
}

func TestWrongItems(t *testing.T) {
	for want, body := range map[string]string{
		"the body is no JSON":                                        `items`,
		"there are no items":                                         `{}`,
		"items[0]: channel: the name of a channel is empty":          `{"items": [{"formats": {"http-stream": {"content": "x"}}}]}`,
		"items[0]: channel: the name of a channel, \"a\\nb\", has":   `{"items": [{"channel": "a\nb", "http-stream": {"content": "x"}}]}`,
		"items[0]: the id \"1\\r\\nX: y\" has a control character":   `{"items": [{"channel": "a", "id": "1\r\nX: y", "http-stream": {"content": "x"}}]}`,
		"items[0]: formats: there is none":                           `{"items": [{"channel": "a"}]}`,
		"items[0]: formats: fax: want":                               `{"items": [{"channel": "a", "formats": {"fax": {}}}]}`,
		"items[1]: formats: http-stream: there is no content":        `{"items": [{"channel": "a", "http-stream": {"content": "x"}}, {"channel": "a", "http-stream": {}}]}`,
		"items[0]: formats: http-stream: action \"shout\"":           `{"items": [{"channel": "a", "http-stream": {"action": "shout"}}]}`,
		"items[0]: formats: http-stream: content-filters: \"x\"":     `{"items": [{"channel": "a", "http-stream": {"content": "c", "content-filters": ["x"]}}]}`,
		"items[0]: formats: http-response: action close":             `{"items": [{"channel": "a", "http-response": {"action": "close"}}]}`,
		"items[0]: formats: http-response: code: is 100":             `{"items": [{"channel": "a", "http-response": {"code": 100}}]}`,
		"items[0]: formats: http-response: headers: \"a b\"":         `{"items": [{"channel": "a", "http-response": {"headers": {"a b": "c"}}}]}`,
		"items[0]: formats: http-response: there are both body and":  `{"items": [{"channel": "a", "http-response": {"body": "c", "body-bin": "AA=="}}]}`,
		"items[0]: formats: http-response: want an object":           `{"items": [{"channel": "a", "http-response": 5}]}`,
		"items[0]: the message has 11 bytes, more than hold.message": `{"items": [{"channel": "a", "http-stream": {"content": "12345678901"}}]}`,
	} {
		if _, err := ParseItems([]byte(body), 10); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func FuzzParseItems(f *testing.F) {
	f.Add([]byte(`{"items": [{"channel": "a", "id": 1, "formats": {"http-response": {"headers": [["a", "b"]], "body": "c"}, "http-stream": {"content-bin": "AA=="}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := ParseItems(body, 50)
		if err != nil {
			return
		}
		for _, i := range items {
			for _, m := range []*hold.Message{i.Response, i.Stream} {
				if m == nil {
					continue
				}
				if len(m.Body) > 50 || m == i.Response && (m.Status < 200 || m.Status > 599) {
					t.Errorf("%+v", m)
				}
				for _, field := range m.Fields {
					if !isToken(field[0]) || strings.ContainsAny(field[1], "\r\n\x00") || strings.EqualFold(field[0], "Content-Length") {
						t.Errorf("field %q", field)
					}
				}
			}
			if i.Channel == "" || len(i.Channel) > maxName || len(i.ID) > maxName {
				t.Errorf("%+v", i)
			}
		}
	})
}
