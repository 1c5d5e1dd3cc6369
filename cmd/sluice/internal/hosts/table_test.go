package hosts

import "testing"

func TestFind(t *testing.T) {
	var table Table[string]
	table.Add([]string{"example.org", "www.Example.org."}, "", "main")
	table.Add([]string{"example.org"}, "/wiki", "wiki")
	table.Add([]string{"example.org"}, "/wiki/edit/", "edit")
	table.Add([]string{"*.example.org"}, "", "below")
	table.Add([]string{"*.dev.example.org"}, "", "dev")
	table.Add([]string{"only.example.org"}, "/app", "only")
	table.Add([]string{"::1", "192.0.2.1"}, "", "address")
	table.Add(nil, "", "other")
	table.Add(nil, "/status", "other status")
	for _, c := range []struct{ host, path, want string }{
		{"example.org", "/", "main"},
		{"EXAMPLE.org:8080", "/wikis", "main"},
		{"example.org.", "/wiki", "wiki"},
		{"example.org", "/wiki/", "wiki"},
		{"example.org", "/wiki/page", "wiki"},
		{"example.org", "/wiki/edit", "edit"},
		{"example.org", "/wiki/edits", "wiki"},
		{"www.example.org", "/wiki", "main"},
		{"a.example.org", "/", "below"},
		{"a.b.example.org", "/", "below"},
		{"a.dev.example.org", "/", "dev"},
		{"dev.example.org", "/", "below"},
		{"only.example.org", "/elsewhere", "only"},
		{"[::1]:80", "/", "address"},
		{"[::1]", "/", "address"},
		{"192.0.2.1:80", "/", "address"},
		{"example.com", "/", "other"},
		{"notexample.org", "/", "other"},
		{"", "/status", "other status"},
		{".", "/", "other"},
		{"..example.org", "/", "below"},
	} {
		got, ok := table.Find(c.host, func() string { return c.path })
		if got != c.want || !ok {
			t.Errorf("%s%s: %q, %v, want %q", c.host, c.path, got, ok, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { table.Find("a.example.org", func() string { return "/" }) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnknownHost(t *testing.T) {
	var table Table[int]
	table.Add([]string{"example.org"}, "", 1)
	table.Add([]string{"*.example.org"}, "", 2)
	for _, host := range []string{"example.com", "", "org", "xexample.org", "example.org.evil"} {
		if got, ok := table.Find(host, func() string { return "/" }); ok {
			t.Errorf("%s: %d", host, got)
		}
	}
}
