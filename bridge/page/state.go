package page

import (
	"cmp"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/events"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// recent is how many seconds a finding looks back.
const recent = 10

// state takes the state of an application.
func state(name string, a Application, now time.Time, usage map[string]*supervise.Usage, points []Point) ApplicationState {
	s := a.QuickSnapshot()
	inFlight := a.RequestsInFlight()
	routes, clients := a.Users(mostUsers)
	f := &facts{now, &s, inFlight, clients, points}
	out := ApplicationState{
		Name: name, Findings: say(f), Workers: workersOf(&s, inFlight), Waiting: waitingOf(&s),
		Parts: instancesOf(&s, usage, now), Running: len(inFlight), Events: append([]events.Event{}, a.Events()...),
		InFlight: []Request{},
	}
	if n := len(points); n > 0 {
		out.Point = &points[n-1]
	}
	if member := s.Fleet; member != nil {
		out.Fleet = &Fleet{member.Status, mayUse(&s), member.Gates}
	}
	if p := s.Processes; p != nil {
		out.Started = true
		if p.Memory.Used > 0 {
			out.Memory = &Memory{p.Memory.Used, p.Memory.Total}
		}
	}
	pids := make(map[string]int)
	for _, in := range out.Parts {
		pids[in.Addr] = in.PID
	}
	for _, r := range inFlight[:min(len(inFlight), MostInFlight)] {
		out.InFlight = append(out.InFlight, requestOf(&r, pids))
	}
	out.Routes, out.Clients = usersOf(routes, clients, inFlight)
	return out
}

func requestOf(r *admission.InFlight, pids map[string]int) Request {
	out := Request{
		Number: r.Number, Age: r.Age.Seconds(), Lane: r.Lane.String(), State: stateOf(r),
		Route: r.Route, Instance: r.Instance, PID: pids[r.Instance],
	}
	if r.ClientKey != 0 {
		out.Client = admission.ClientKeyName(r.ClientKey)
	}
	return out
}

func workersOf(s *bridge.Snapshot, inFlight []admission.InFlight) Workers {
	g := &s.Gate
	w := Workers{All: max(g.Workers, len(inFlight)), Reserve: g.Reserve, LongCap: g.LongCap}
	for i := range inFlight {
		switch stateOf(&inFlight[i]) {
		case "abandoned":
			w.Abandoned++
		case "long":
			w.Long++
		case "aged":
			w.Aged++
		default:
			w.Short++
		}
	}
	free := w.All - len(inFlight)
	for _, in := range s.Pool.Instances {
		w.Closing += in.Closing + in.AtWork
	}
	w.Closing = min(w.Closing, free)
	w.Missing = min(max(0, g.Workers-g.Capacity), free-w.Closing)
	free -= w.Closing + w.Missing
	w.Elsewhere = min(max(0, g.Workers-w.Missing-mayUse(s)), free)
	w.Idle = free - w.Elsewhere
	return w
}

// mayUse is how many workers a gate may have now, while others use the application, too: those of its
// fleet, or the process that it has taken over from.
func mayUse(s *bridge.Snapshot) int {
	if len(s.Pool.Instances) == 0 {
		return s.Gate.Workers
	}
	n := 0
	for _, in := range s.Pool.Instances {
		n += in.Limit
	}
	return min(n, s.Gate.Workers)
}

func waitingOf(s *bridge.Snapshot) Waiting {
	w := Waiting{Queue: queueOf(&s.Gate), Parked: s.Gate.Waiting - queueOf(&s.Gate), Connection: s.Pool.Waiting, Accept: -1}
	if s.Hold != nil {
		w.Held = s.Hold.Clients
	}
	for _, in := range s.Pool.Instances {
		if q := in.AcceptQueue; q != nil {
			w.Accept, w.Backlog = max(w.Accept, 0)+q.Depth, w.Backlog+q.Backlog
		}
	}
	return w
}

// instancesOf joins what the pool and the supervisor know of each instance.
func instancesOf(s *bridge.Snapshot, usage map[string]*supervise.Usage, now time.Time) []Instance {
	list, at := []Instance{}, make(map[string]int)
	for _, in := range s.Pool.Instances {
		i := Instance{
			Addr: in.Addr, State: in.State, Workers: in.Workers, Busy: in.Requests, Idle: in.Idle,
			LastError: in.LastError, Accept: -1,
		}
		if q := in.AcceptQueue; q != nil {
			i.Accept, i.Backlog = q.Depth, q.Backlog
		}
		at[in.Addr] = len(list)
		list = append(list, i)
	}
	if s.Processes == nil {
		return list
	}
	for _, in := range s.Processes.Instances {
		i, known := at[in.Addr]
		if !known {
			i = len(list)
			list = append(list, Instance{Addr: in.Addr, State: "starting", Accept: -1})
		}
		addProcess(&list[i], &in, usage[in.Addr], now)
		list[i].Limit = s.Processes.Memory.Hard
	}
	return list
}

func addProcess(to *Instance, in *supervise.InstanceSnapshot, used *supervise.Usage, now time.Time) {
	to.PID, to.Process, to.Answered, to.Memory = in.PID, in.State, in.Answered, in.Memory
	if in.PID == 0 {
		return
	}
	to.Age = now.Sub(in.Begun).Seconds()
	if used == nil {
		return
	}
	to.Processes = used.Processes
	for _, measured := range [...]uint64{used.PSS, used.RSS} {
		to.Memory = cmp.Or(to.Memory, measured)
	}
}
