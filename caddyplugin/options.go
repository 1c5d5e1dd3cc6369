package caddyplugin

import (
	"strconv"
	"strings"

	"github.com/sluice-proxy/sluice/bridge"
)

// optionsOf returns the options of a block by name. Their names and meanings are those
// of bridge.Config's keys.
func optionsOf(c *bridge.Config) map[string]setter {
	return map[string]setter{
		"workers":              positive(&c.Workers),
		"preset":               text(&c.Preset),
		"mount":                text(&c.Mount),
		"root":                 text(&c.Root),
		"resolve_root_symlink": text(&c.ResolveRootSymlink),
		"app_root":             text(&c.AppRoot),
		"check_files":          text(&c.CheckFiles),
		"virtual":              list(&c.Virtual),
		"follow":               list(&c.Follow),
		"static":               text(&c.Static),
		"static_types":         list(&c.StaticTypes),
		"static_dirs":          list(&c.StaticDirs),
		"index":                list(&c.Index),
		"fallback":             text(&c.Fallback),
		"hide":                 list(&c.Hide),
		"env":                  pairs(&c.Env),
		"trusted_proxies":      list(&c.TrustedProxies),
		"user_header":          text(&c.UserHeader),
		"underscore_headers":   list(&c.UnderscoreHeaders),
		"sendfile":             list(&c.Sendfile),
		"max_body":             size(&c.MaxBody),
		"max_params":           size(&c.MaxParams),
		"max_response_header":  size(&c.MaxResponseHeader),
		"request_buffering":    text(&c.RequestBuffering),
		"keep_alive":           text(&c.KeepAlive),
		"multiplex":            text(&c.Multiplex),
		"lanes":                text(&c.Lanes),
		"long_poll":            list(&c.LongPoll),
		"reserve":              pointer(&c.Reserve, number),
		"queue":                section("queue.", queueOptions(&c.Queue)),
		"flow":                 section("flow.", flowOptions(&c.Flow)),
		"admission":            section("admission.", admissionOptions(&c.Admission)),
		"timeouts":             section("timeouts.", timeoutOptions(&c.Timeouts)),
		"spool":                section("spool.", spoolOptions(&c.Spool)),
		"spawn":                spawn(&c.Spawn),
	}
}

// spawn reads a command, its arguments, and a block of options about it.
func spawn(to **bridge.SpawnConfig) setter {
	return func(p *parser) error {
		if *to != nil {
			return p.Errf("spawn: is given twice")
		}
		token := p.Token()
		c := &bridge.SpawnConfig{Command: p.RemainingArgs()}
		*to = c
		p.at["spawn.command"] = token
		return p.block("spawn.", spawnOptions(c))
	}
}

func spawnOptions(c *bridge.SpawnConfig) map[string]setter {
	return map[string]setter{
		"dir":           text(&c.Dir),
		"env":           pairs(&c.Env),
		"env_copy":      list(&c.EnvCopy),
		"user":          text(&c.User),
		"group":         text(&c.Group),
		"umask":         pointer(&c.Umask, encoded),
		"nice":          number(&c.Nice),
		"open_files":    count(&c.OpenFiles),
		"core":          pointer(&c.Core, sizeOrNone[uint64]),
		"address_space": size(&c.AddressSpace),
		"listen":        text(&c.Listen),
		"backlog":       number(&c.Backlog),
		"budget":        budget(&c.Budget),
		"instances":     positive(&c.Instances),
		"max_instances": positive(&c.MaxInstances),
		"start_timeout": duration(&c.StartTimeout),
		"ready":         text(&c.Ready),
		"max_requests":  number(&c.MaxRequests),
		"max_lifetime":  durationOrNone(&c.MaxLifetime),
		"idle_shutdown": durationOrNone(&c.IdleShutdown),
		"drain_timeout": duration(&c.DrainTimeout),
		"memory_soft":   size(&c.MemorySoft),
		"memory_hard":   size(&c.MemoryHard),
		"memory_total":  size(&c.MemoryTotal),
		"max_time":      durationOrNone(&c.MaxTime),
		"stall_kill":    durationOrNone(&c.StallKill),
		"dump_signal":   encoded(&c.DumpSignal),
		"quarantine":    durationOrNone(&c.Quarantine),
	}
}

// budget reads "10 per 10m", or "10 per 10m stop".
func budget(to *bridge.SpawnBudget) setter {
	return func(p *parser) error {
		if err := to.UnmarshalText([]byte(strings.Join(p.RemainingArgs(), " "))); err != nil {
			return p.Errf("budget: %w", err)
		}
		return nil
	}
}

func queueOptions(c *bridge.QueueConfig) map[string]setter {
	return map[string]setter{
		"size":         positive(&c.Size),
		"long_size":    positive(&c.LongSize),
		"timeout":      duration(&c.Timeout),
		"long_timeout": duration(&c.LongTimeout),
		"poll_answer":  pollAnswer(&c.PollAnswer),
	}
}

// pollAnswer reads "204", or "200 <body>", or "200 <body> <content type>".
func pollAnswer(to *bridge.PollAnswer) setter {
	return func(p *parser) error {
		token := p.Token()
		args := p.RemainingArgs()
		if len(args) == 0 || len(args) > 3 {
			return p.Errf("poll_answer: want a status, a body, and a content type")
		}
		status, err := strconv.Atoi(args[0])
		if err != nil || status == 0 {
			return p.Errf("poll_answer: %q is not a status", args[0])
		}
		to.Status = status
		if len(args) > 1 {
			to.Body = args[1]
		}
		if len(args) > 2 {
			to.ContentType = args[2]
		}
		for _, key := range []string{"status", "body", "content_type"} {
			p.at["queue.poll_answer."+key] = token
		}
		return nil
	}
}

func flowOptions(c *bridge.FlowConfig) map[string]setter {
	return map[string]setter{
		"key":           words(&c.Key),
		"limit":         positive(&c.Limit),
		"max_addresses": rate(&c.MaxAddresses, &c.Per),
		"excess":        text(&c.Excess),
	}
}

func admissionOptions(c *bridge.AdmissionConfig) map[string]setter {
	return map[string]setter{
		"long_after":  duration(&c.LongAfter),
		"stall_after": duration(&c.StallAfter),
		"wait_target": duration(&c.WaitTarget),
		"unknown":     positive(&c.Unknown),
		"long_min":    pointer(&c.LongMin, number),
		"flow_rate":   decimal(&c.FlowRate),
		"flow_burst":  decimal(&c.FlowBurst),
		"spent_limit": positive(&c.SpentLimit),
	}
}

func timeoutOptions(c *bridge.TimeoutsConfig) map[string]setter {
	return map[string]setter{
		"dial":          duration(&c.Dial),
		"send":          duration(&c.Send),
		"first_byte":    duration(&c.FirstByte),
		"between_bytes": duration(&c.BetweenBytes),
		"request":       durationOrNone(&c.Request),
		"idle":          duration(&c.Idle),
		"abandoned":     duration(&c.Abandoned),
		"client":        duration(&c.Client),
	}
}

func spoolOptions(c *bridge.SpoolConfig) map[string]setter {
	return map[string]setter{
		"dir":    text(&c.Dir),
		"buffer": size(&c.Buffer),
		"memory": size(&c.Memory),
		"disk":   size(&c.Disk),
	}
}
