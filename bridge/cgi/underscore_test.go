package cgi

import (
	"slices"
	"strings"
	"testing"
)

// A listed field is passed, in place of the one with hyphens; others are told of.
func TestUnderscoreHeaders(t *testing.T) {
	var told []string
	m := newMapper(t, Config{
		UnderscoreHeaders: []string{"api_key", "X-Deploy_Token"}, TrustedProxies: []string{"192.0.2.7"}, UserHeader: "X-Remote-User",
		OnDropped: func(name string) { told = append(told, name) },
	})
	r := request(t, strings.Join([]string{
		"GET / HTTP/1.1", "Host: x", "api_key: 1", "API-KEY: forged", "x-deploy_token: 2", "X_Deploy_Token: forged", "other_field: 3",
		"X_Forwarded_For: 192.0.2.66", "x_remote_user: jane", "content_length: 5", "proxy_: x", "X.Dotted: 4", "User_Agent: x",
	}, "\n"))
	wantVars(t, vars(t, m, r, 0), map[string]string{
		"HTTP_API_KEY": "1", "HTTP_X_DEPLOY_TOKEN": "2", "HTTP_OTHER_FIELD": absent, "HTTP_X_FORWARDED_FOR": absent, "HTTP_X_REMOTE_USER": absent,
		"REMOTE_USER": absent, "CONTENT_LENGTH": absent, "HTTP_CONTENT_LENGTH": absent, "HTTP_X_DOTTED": absent, "HTTP_USER_AGENT": absent,
	})
	slices.Sort(told)
	if !slices.Equal(told, []string{"Other_field", "Proxy_", "X_deploy_token"}) {
		t.Errorf("told of %q", told)
	}
	wantVars(t, vars(t, m, request(t, "GET / HTTP/1.1\nHost: x\nApi-Key: 1"), 0), map[string]string{"HTTP_API_KEY": absent})
	wantVars(t, vars(t, newMapper(t, Config{}), request(t, "GET / HTTP/1.1\nHost: x\nApi-Key: 1\nApi_key: 2"), 0), map[string]string{"HTTP_API_KEY": "1"})
}

func TestUnderscoreHeaderErrors(t *testing.T) {
	for _, test := range []struct {
		list []string
		want string
	}{
		{[]string{"Api-Key"}, `has no underscore`},
		{[]string{"api_key", "Api_Key"}, "is the same variable"},
		{[]string{"x_forwarded_for"}, "would be taken for X-Forwarded-For"},
		{[]string{"X-Forwarded_Anything"}, "would be taken for X-Forwarded-Anything"},
		{[]string{"x_remote_user"}, "would be taken for X-Remote-User"},
		{[]string{"content_type"}, "would be taken for Content-Type"},
		{[]string{"api_key*"}, "a name is letters"},
		{[]string{"a_b\n"}, "a name is letters"},
	} {
		_, err := NewMapper(Config{UnderscoreHeaders: test.list, UserHeader: "X-Remote-User"})
		if err == nil || !strings.HasPrefix(err.Error(), "cgi: underscore_headers ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.list, err, test.want)
		}
	}
}
