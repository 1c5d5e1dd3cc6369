package config

import (
	"cmp"
	"errors"
	"fmt"
)

// Hold says that the application may have its clients held (GRIP), and how many, for how much memory.
type Hold struct {
	// KeyFile holds the secret that publishers show, or sign with, and with which the requests of the
	// application are signed.
	KeyFile string `key:"key_file" flag:"hold" value:"FILE" doc:"let the application have clients held (GRIP): FILE has the key for publishing and for Grip-Sig, 16 bytes at least"`
	// A held client takes a connection and some 2.3 KiB, and no worker.
	Clients      int `key:"clients" default:"20000" doc:"how many clients may be held"`
	ClientLimit  int `key:"client_limit" otherwise:"a quarter of {hold.clients}" doc:"how many of them may have one client key; twice as many if the client is known by its address alone"`
	ChannelLimit int `key:"channel_limit" otherwise:"as many as {hold.clients}" doc:"how many clients may be held on one channel"`
	Channels     int `key:"channels" default:"16" doc:"how many channels one client may be held on"`
	Message      int `key:"message" unit:"bytes" default:"64KiB" doc:"largest message, and largest answer that comes with the order to hold"`
	Backlog      int `key:"backlog" unit:"bytes" default:"256KiB" doc:"how much may wait for one client of a stream that is slow to take it; then its connection is cut"`
	// Recover bounds requests that go to the application because clients have missed something.
	Recover     int `key:"recover" otherwise:"an eighth of the workers, at least 1" doc:"how many held clients may be asked for again at once, after they have missed a message, and of how many that are gone the application is told at once"`
	PublishRate int `key:"publish_rate" default:"1000" doc:"how many messages per second may be published"`
}

// check checks what depends on each other, and fills in the defaults that do. There are so many
// workers.
func (h *Hold) check(workers int) error {
	if h.KeyFile == "" {
		return errors.New("hold.key_file: none given; name a file with a key, such as that of: openssl rand -hex 32")
	}
	h.ClientLimit = cmp.Or(h.ClientLimit, max(h.Clients/4, 1))
	h.ChannelLimit = cmp.Or(h.ChannelLimit, h.Clients)
	h.Recover = cmp.Or(h.Recover, max(workers/8, 1))
	switch {
	case h.Recover > workers:
		return fmt.Errorf("hold.recover: is %d, and there are %d workers", h.Recover, workers)
	case h.Backlog < h.Message:
		return fmt.Errorf("hold.backlog: is %d bytes, and hold.message is %d: one message must find room", h.Backlog, h.Message)
	}
	return nil
}
