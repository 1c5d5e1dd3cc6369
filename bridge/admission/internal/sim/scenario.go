package sim

import "time"

// What all scenarios have in common.
const (
	meanShort     = 20 * time.Millisecond // of an exponential distribution
	pollTime      = 30 * time.Second      // +-10 %
	lockTime      = 2 * time.Second       // a tab of the lock-bound session holds its lock
	slowTime      = 5 * time.Second       // a slow page of the flood
	dialTime      = time.Millisecond
	idleTime      = 5 * time.Second        // a kept connection stays open unused
	onTime        = time.Second            // a short request should have its answer by then
	patience      = 10 * time.Second       // after that, the client of a short request leaves
	longPatience  = 60 * time.Second       // after that, the client of another request leaves
	retryAtOnce   = 100 * time.Millisecond // when clients come back that do not heed Retry-After
	retryUntold   = time.Second            // when clients come back that were told no Retry-After
	leaveShare    = 0.01                   // of the clients leave on their own
	leaveShort    = 500 * time.Millisecond // after that long on average
	keptShare     = 0.9                    // of the answers leave a connection that can be used again
	tabsPerWorker = 2.5
	floodWork     = 100 * time.Millisecond // of an exponential distribution
	lockTabs      = 12

	floodConnections = 300                  // of each address
	streamHeader     = 5 * time.Millisecond // after that long a stream says what it is
	lookTime         = 5 * time.Millisecond // after that long it is known whose a request is that waits
)

// Scenario says what happens to the application besides its short requests.
type Scenario struct {
	Name  string // as the command line knows it
	Title string // as the table has it

	PollShare  float64       // of the arrivals are polls; nobody comes back
	Tabs       bool          // tabs that poll again as soon as they have their answer
	OneUser    bool          // all the tabs are one user's
	Streams    bool          // what the tabs fetch are event streams, which only the answer's header tells
	Herd       bool          // all polls end at the same instants, every 30 s
	Stall      time.Duration // for so long the application does no work
	StallEvery time.Duration
	Lock       bool    // a session whose tabs wait for each other, on the routes of everybody
	SlowRate   float64 // arrivals of slow pages, in workers' worth of work per worker
	SlowGroup  bool    // they have their first path segment in common
	Routes     int     // of the short requests; 0: 24
	Wiki       bool    // the short requests go to thousands of pages that are seldom visited
	Retry      bool    // refused clients come back, half of them at once
	Dip        bool    // for a third of the time the application holds a quarter less

	Nested  float64 // share of the short requests whose page asks the same site for another, and waits
	Depth   int     // so many deep; 0: one
	Cookie  bool    // with its visitor's cookie; else it is an address's
	Unowned bool    // the gate is not told that the application asks
	Floods  int     // addresses without a cookie, each with more connections open than there is room for
}

// depth returns how deep nested requests are.
func (sc *Scenario) depth() int { return max(1, sc.Depth) }

// Scenarios returns the scenarios of the table, and more.
func Scenarios() []Scenario {
	const minute = time.Minute
	return []Scenario{
		{Name: "polls", Title: "12 % of arrivals are polls", PollShare: 0.12},
		{Name: "tabs", Title: "tabs re-polling", Tabs: true},
		{Name: "stall", Title: "5 s stall each 60 s", Tabs: true, Stall: 5 * time.Second, StallEvery: minute},
		{Name: "herd", Title: "all polls end together", Tabs: true, Herd: true},
		{Name: "lock", Title: "one lock-bound session", Lock: true},
		{Name: "slow", Title: "random slow URLs", SlowRate: 1, SlowGroup: true},
		{Name: "wiki", Title: "random fast URLs", Tabs: true, Wiki: true},
		{Name: "retry", Title: "retry storm", Tabs: true, Retry: true, Stall: 5 * time.Second, StallEvery: minute},

		{Name: "calm", Title: "short requests alone"},
		{Name: "lockpolls", Title: "lock-bound session and polls", Lock: true, Tabs: true},
		{Name: "oneuser", Title: "tabs re-polling, all one user's", Tabs: true, OneUser: true},
		{Name: "quietstall", Title: "stalls and no polls", Stall: 5 * time.Second, StallEvery: minute},
		{Name: "stallpage", Title: "stalls, everything behind one page", Tabs: true, Routes: 1, Stall: 5 * time.Second, StallEvery: minute},
		{Name: "lockpage", Title: "lock-bound session, everything behind two pages", Lock: true, Routes: 2},
		{Name: "slowapart", Title: "random slow URLs, nothing in common", SlowRate: 1},
		{Name: "slowwiki", Title: "random URLs, some slow", SlowRate: 1, SlowGroup: true, Wiki: true},
		{Name: "streams", Title: "event streams", Tabs: true, Streams: true},
		{Name: "dip", Title: "a quarter less capacity for a third of the time", Tabs: true, Dip: true},
		{Name: "nested10", Title: "one page in ten asks its own site", Nested: 0.1, Cookie: true},
		{Name: "nested", Title: "every page asks its own site", Nested: 1, Cookie: true},
		{Name: "nested2", Title: "every page asks its own site, and that again", Nested: 1, Depth: 2, Cookie: true},
		{Name: "nestedpolls", Title: "half the pages ask their own site; polls", Nested: 0.5, Depth: 2, Tabs: true},
		{Name: "unowned10", Title: "one page in ten asks its own site through a proxy", Nested: 0.1, Cookie: true, Unowned: true},
		{Name: "unowned", Title: "every page asks its own site through a proxy", Nested: 1, Cookie: true, Unowned: true},
		{Name: "flood", Title: "one address, more than there is room for", Floods: 1},
		{Name: "floods", Title: "four addresses, each more than there is room for", Floods: 4},
		{Name: "everything", Title: "everything at once", Tabs: true, Lock: true, SlowRate: 0.5, Retry: true, Stall: 5 * time.Second, StallEvery: minute},
	}
}

// nestedWork returns by what factor the workers are busy for longer because pages ask for others:
// each page holds a worker while it waits.
func (sc *Scenario) nestedWork() float64 {
	d := float64(sc.depth() + 1)
	return 1 - sc.Nested + sc.Nested*d*(d+1)/2
}

// allTold reports whether the policy is told of everything that is slow.
func (o *Options) allTold() bool {
	sc := &o.Scenario
	polls := (sc.Tabs || sc.PollShare > 0) && (sc.Streams || !o.Policy.told())
	return !polls && !sc.Lock && sc.SlowRate == 0 && sc.Stall == 0 && sc.Nested == 0 && sc.Floods == 0
}
