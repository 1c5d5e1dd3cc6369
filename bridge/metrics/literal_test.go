package metrics

import (
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/admission"
	"github.com/sluice-proxy/sluice/bridge/fleet"
	"github.com/sluice-proxy/sluice/bridge/pool"
	"github.com/sluice-proxy/sluice/bridge/spool"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// at returns a time in seconds since 1970.
func at(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)) }

// literal returns a snapshot in which no field is zero, and no two numbers of one kind are equal.
// Texts that metrics must not show are "secret".
func literal() bridge.Snapshot {
	exit := supervise.Exit{
		Time: at(1700000007.5), PID: 4241, Status: 3, Signal: "secret", Err: "secret",
		Lived: time.Second, Served: true, Lines: []string{"secret"}, Cause: "secret", OutOfMemory: true,
		InFlight: []supervise.Request{{Method: "SECRET", Path: "/secret", Route: "GET secret", Age: time.Second}},
	}
	return bridge.Snapshot{
		InFlight: 51, Abandoned: 2,
		Gate: admission.Snapshot{
			Workers: 16, Capacity: 15, InUse: 14, Waiting: 13, Long: 12, LongCap: 11, Reserve: 4, Nested: 19, Upgraded: 9, MaxUpgraded: 10,
			ShortRate: 23.5, ShortMean: 12.5,
			Stall: admission.StallSnapshot{
				State: "stalled", Since: at(1700000001.5), Count: 3,
				Held: []admission.InFlight{{
					Method: "SECRET", Path: "/secret", Route: "GET secret", Instance: "secret", Lane: admission.Mixed, Age: time.Second, ClientKey: 7,
					Aged: true, Abandoned: true, Number: 8,
				}},
			},
			Routes: []admission.RouteSnapshot{{
				Route: "GET secret", Lane: admission.Mixed, InFlight: 1, Aged: 2, Short: 3, Long: 4, Work: 5,
			}},
			ClientKeys: []admission.ClientSnapshot{{ClientKey: "secret", Shared: true, InFlight: 1, Elsewhere: 4, Waiting: 2, Spent: true, Work: 3}},
			Lanes: map[string]admission.LaneSnapshot{"mixed": {
				InFlight: 21, Aged: 22, Waiting: 23, Started: 24, Left: 25, Waited: 234.5,
				Refused: map[string]uint64{"full": 26, "timeout": 27, "predicted": 28, "stalled": 29, "down": 30, "upgrades": 34},
				Waits:   []admission.WaitBucket{{Seconds: .001, Count: 5}, {Seconds: .25, Count: 7}, {Seconds: -1, Count: 11}},
			}},
		},
		AddressLimit: bridge.AddressLimitSnapshot{ClientKeys: 31, Refused: 32, Evicted: 33},
		Compression:  bridge.CompressionSnapshot{InUse: 35, Lacked: 36},
		Pool: pool.Snapshot{
			Waiting: 41,
			Instances: []pool.InstanceSnapshot{{
				Addr: "unix:/run/app.sock", State: "full", Workers: 16, Observed: 15, Limit: 14,
				Dialing: 1, Busy: 2, Idle: 3, Closing: 4, Requests: 5, Zombies: 6, AtWork: 7,
				KeepAlive: "on", KeepAliveWhy: "secret",
				Multiplex: "on", ClosesIdle: true, ClosesAlways: true,
				Counters: pool.Counters{
					Dials: 61, DialErrors: 62, BacklogFull: 63, TurnedAway: 64, Reuses: 65, Stale: 66, ShedIdle: 67, WorkedOn: 69, Discarded: 68,
					Replays: map[string]uint64{"stale": 71, "turned_away": 72, "overloaded": 73, "cant_multiplex": 74},
				},
				AcceptQueue: &pool.QueueSnapshot{Depth: 8, Backlog: 128},
				LastError:   "secret", LastErrorAt: at(1700000002.5),
			}},
			Removed: pool.RemovedSnapshot{Instances: 42, Counters: pool.Counters{
				Dials: 6100, DialErrors: 6200, BacklogFull: 6300, TurnedAway: 6400, Reuses: 6500, Stale: 6600, ShedIdle: 6700, WorkedOn: 6900, Discarded: 6800,
				Replays: map[string]uint64{"stale": 7100, "turned_away": 7200, "overloaded": 7300, "cant_multiplex": 7400},
			}},
		},
		Spool: spool.Stats{Buffers: 81, Files: 82, Small: 85, Memory: 83, Disk: 84, DiskLimit: 88, Refused: 87, Cut: 86, DiskError: "no space left on device"},
		Authorizer: &bridge.AuthorizerSnapshot{
			Addr: "unix:/secret", State: "full", LastError: "secret",
			Granted: 161, Denied: 162, Failed: 163, Workers: 164, InUse: 165, Waiting: 166,
		},
		Hold: &bridge.HoldSnapshot{
			Clients: 181, Max: 182, Channels: 183, Remembered: 184, Recovering: 185, Waiting: 186,
			Published: 187, Duplicates: 188, Late: 189, Delivered: 190, Refused: 191, Denied: 192,
			Ended: map[string]uint64{"answered": 193, "expired": 194}, Unfit: 901,
			Gone: bridge.GoneSnapshot{Told: 902, Failed: 903, Dropped: 904, Active: 905, Waiting: 906},
		},
		Fleet: &fleet.State{
			Key:  "0a1b2c3d",
			Name: "secret", Status: fleet.Leased, Allowed: 171, Share: 172, Gates: 173, Most: 174, Others: 175,
			Renewed: 176, Failed: 177, Error: "secret", Since: time.Unix(1700000178, 0),
		},
		Processes: &supervise.Snapshot{
			Command: "/opt/secret", Breaker: "probing",
			Budget: supervise.BudgetSnapshot{Left: 9, Spawns: 10, Per: 600, Stop: true},
			CrashLoop: supervise.CrashLoopSnapshot{
				Active: true, Began: at(1700000003.5), Count: 91, LastMinute: 92, Exits: []supervise.Exit{exit},
			},
			Memory:      supervise.MemorySnapshot{Kind: "cgroup v2", Used: 121, Total: 122, Hard: 123, Soft: 124},
			Suspects:    []supervise.SuspectSnapshot{{Route: "GET secret", Exits: 3, Answered: 1, RefusedUntil: at(1700000008.5)}},
			Concurrency: supervise.ConcurrencySnapshot{Seen: 151, Limit: 152, EndsAfterEach: true, Advice: "secret"},
			Started:     131, Answered: 132,
			Exits: map[string]uint64{
				"planned": 141, "clean": 148, "exited": 142, "signal": 143, "not_started": 144, "not_ready": 145, "memory": 146, "hung": 147,
			},
			Instances: []supervise.InstanceSnapshot{{
				Addr: "unix:/run/app.sock", Number: 2, PID: 4242, State: "serving",
				Since: at(1700000004.5), Begun: at(1700000005.5), Next: at(1700000006.5),
				Restarts: 101, Answered: 102, Outdated: "max_requests", LastExit: &exit, Memory: 103,
				Lines: []string{"secret"},
				Usage: &supervise.Usage{Processes: 111, Threads: 112, CPU: 113.5, RSS: 114, PSS: 115, OpenFiles: 116, OpenFilesLimit: 117},
			}},
		},
	}
}
