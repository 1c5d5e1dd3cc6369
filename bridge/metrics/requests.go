package metrics

import "github.com/sluice-proxy/sluice/bridge"

func requestFamilies() []family {
	return []family{
		{
			"requests_in_flight", gauge, "Requests in progress: received, and not answered completely.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.InFlight }),
		},
		{
			"requests_abandoned", gauge, "Requests whose clients have left, until their workers are free.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Abandoned }),
		},
		{
			"address_limit_client_keys", gauge, "Client keys whose addresses are remembered.", nil,
			single(func(s *bridge.Snapshot) int { return s.AddressLimit.ClientKeys }),
		},
		{
			"address_limit_refused_total", counter, "Requests refused because their client key is used from too many addresses.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.AddressLimit.Refused }),
		},
		{
			"address_limit_evicted_addresses_total", counter, "Addresses that were evicted for another one of their client key.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.AddressLimit.Evicted }),
		},
		{
			"compression_encoders_in_use", gauge, "Answers that are being compressed.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Compression.InUse }),
		},
		{
			"compression_encoders_lacked_total", counter, "Answers that were sent as they are because all encoders of their site were in use.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Compression.Lacked }),
		},
	}
}

func spoolFamilies() []family {
	return []family{
		{
			"spool_buffers", gauge, "Bodies and answers that are held.", nil,
			single(func(s *bridge.Snapshot) int { return s.Spool.Buffers }),
		},
		{
			"spool_files", gauge, "Temporary files open.", nil,
			single(func(s *bridge.Snapshot) int { return s.Spool.Files }),
		},
		{
			"spool_small_bytes", gauge, "Memory that bodies and answers take beside the budget: a page or two for each.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Spool.Small }),
		},
		{
			"spool_memory_bytes", gauge, "Memory that bodies and answers take of the budget.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Spool.Memory }),
		},
		{
			"spool_disk_bytes", gauge, "Disk that bodies and answers take.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Spool.Disk }),
		},
		{
			"spool_disk_limit_bytes", gauge, "Disk that they may take: as configured, or what the file system has room for.", nil,
			single(func(s *bridge.Snapshot) int64 { return s.Spool.DiskLimit }),
		},
		{
			"spool_disk_failing", gauge, "1 while temporary files cannot be written.", nil,
			func(s *bridge.Snapshot, to sink) { to.value(truth(s.Spool.DiskError != "")) },
		},
		{
			"spool_refused_total", counter, "Bodies and answers that there was no room for.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Spool.Refused }),
		},
		{
			"spool_cut_total", counter, "Bodies and answers that were cut because others needed their room.", nil,
			single(func(s *bridge.Snapshot) uint64 { return s.Spool.Cut }),
		},
	}
}
