package hold

import "testing"

type nobody struct{}

func (nobody) Wake() {}

func TestFilters(t *testing.T) {
	m := &Message{Body: []byte("m")}
	for name, c := range map[string]struct {
		filter Filter
		user   string
		item   Item
		gets   bool
	}{
		"none":                         {0, "jane", Item{Sender: "jane", SkipUsers: []string{"jane"}, RequireSub: "c"}, true},
		"skip-self, own":               {SkipSelf, "jane", Item{Sender: "jane"}, false},
		"skip-self, another's":         {SkipSelf, "jane", Item{Sender: "joe"}, true},
		"skip-self, nobody's":          {SkipSelf, "", Item{}, true},
		"skip-users, named":            {SkipUsers, "jane", Item{SkipUsers: []string{"joe", "jane"}}, false},
		"skip-users, others":           {SkipUsers, "jane", Item{SkipUsers: []string{"joe"}}, true},
		"require-sub, nothing":         {RequireSub, "", Item{}, true},
		"require-sub, this channel":    {RequireSub, "", Item{RequireSub: "a"}, true},
		"require-sub, another":         {RequireSub, "", Item{RequireSub: "b"}, true},
		"require-sub, one not waited":  {RequireSub, "jane", Item{RequireSub: "c"}, false},
		"one of two filters is enough": {SkipSelf | RequireSub, "jane", Item{Sender: "jane", RequireSub: "a"}, false},
	} {
		r := New(Limits{Holds: 1, Client: 1, Channel: 1, Channels: 2, Message: 100, Backlog: 100, Recovers: 1})
		h, err := r.Site().Hold(&Instruct{Mode: Stream, User: c.user, Subscriptions: []Subscription{{Channel: "a", Filter: c.filter}, {Channel: "b"}}}, Who{}, nobody{})
		if err != nil {
			t.Fatal(err)
		}
		c.item.Channel, c.item.Stream = "a", m
		r.Publish(&c.item)
		if got, _ := h.Take(); (got != nil) != c.gets {
			t.Errorf("%s: gets it: %v, want %v", name, got != nil, c.gets)
		}
		h.Leave()
		r.Close()
	}
}
