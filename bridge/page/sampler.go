package page

import (
	"maps"
	"sync"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// sampler has the history of all applications, and takes their state.
type sampler struct {
	options *Options
	started time.Time

	mu    sync.Mutex
	rings map[string]*ring // by the name of the application
	used  usages
}

// sample adds a point to the history of each application, and forgets that of those that are gone.
func (s *sampler) sample(now time.Time) {
	apps := s.options.Applications()
	s.mu.Lock()
	defer s.mu.Unlock()
	rings := make(map[string]*ring, len(apps))
	for _, a := range apps {
		r := s.rings[a.Name]
		if r == nil {
			r = new(ring)
		}
		r.add(now, a.Sample())
		rings[a.Name] = r
	}
	s.rings = rings
	s.used.keep(rings)
}

// view takes the state of all applications. It has all of the history, or the last point.
func (s *sampler) view(now time.Time, whole bool) *View {
	v := &View{
		Time: now, Started: s.started, Version: s.options.Version, Applications: []ApplicationState{},
		Lanes: admission.Lanes(), Reasons: admission.Reasons(),
	}
	if s.options.Front != nil {
		v.Front = new(s.options.Front())
		v.Front.Findings = v.Front.say(now)
	}
	for _, a := range s.options.Applications() {
		all, latest := s.history(a.Name, whole)
		state := state(a.Name, a, now, s.used.of(a, now), latest)
		state.Points = all
		v.Applications = append(v.Applications, state)
	}
	return v
}

func (s *sampler) history(name string, whole bool) (all, latest []Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rings[name]
	if r == nil {
		return nil, nil
	}
	if whole {
		all = r.all()
	}
	return all, r.latest(recent)
}

// usageInterval is how often it is found out what processes use: that takes a look at all
// processes of the system.
const usageInterval = 5 * time.Second

// usages remembers what the processes of each application use.
type usages struct {
	mu     sync.Mutex
	byName map[string]usageRead
}

// keep forgets applications that are gone.
func (u *usages) keep(apps map[string]*ring) {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.byName, func(name string, _ usageRead) bool { return apps[name] == nil })
}

type usageRead struct {
	at     time.Time
	byAddr map[string]*supervise.Usage
}

// of returns what the processes of a use, by the address of the instance.
func (u *usages) of(a Named, now time.Time) map[string]*supervise.Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, known := u.byName[a.Name]; known && now.Sub(last.at) < usageInterval {
		return last.byAddr
	}
	read := usageRead{now, make(map[string]*supervise.Usage)}
	if p := a.Snapshot().Processes; p != nil {
		for _, in := range p.Instances {
			read.byAddr[in.Addr] = in.Usage
		}
	}
	if u.byName == nil {
		u.byName = make(map[string]usageRead)
	}
	u.byName[a.Name] = read
	return read.byAddr
}
