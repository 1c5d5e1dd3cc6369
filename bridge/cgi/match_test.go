package cgi

import "testing"

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"/poll", []string{"/poll"}, []string{"/poll/", "/polls", "/a/poll", ""}},
		{"/poll*", []string{"/poll", "/poll/", "/polls/1"}, []string{"/pol", "/a/poll"}},
		{"*/events", []string{"/events", "/chat/7/events"}, []string{"/events/1", "/event"}},
		{"/chat/*/events", []string{"/chat/7/events", "/chat/7/8/events", "/chat//events"}, []string{"/chat/events", "/chat/7/events/"}},
		{"/a*b*b", []string{"/abb", "/axbxbxb"}, []string{"/ab", "/abxa"}},
		{"*", []string{"", "/", "/x/y"}, nil},
		{"/a**b", []string{"/ab", "/axb"}, []string{"/a"}},
		{"/a*a", []string{"/aa", "/a/a"}, []string{"/a"}},
	} {
		for _, s := range c.yes {
			if !Matches(c.pattern, s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if Matches(c.pattern, s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
}
