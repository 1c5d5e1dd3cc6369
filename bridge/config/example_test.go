package config_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/sluice-proxy/sluice/bridge/config"
)

func Example() {
	var c config.Config
	text := `{"backends": ["unix:/run/trac.sock"], "workers": 16, "timeouts": {"dial": "5s"}}`
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		log.Fatal(err)
	}
	if err := config.Lookup("queue.timeout").Set(&c, "10s"); err != nil {
		log.Fatal(err)
	}
	if err := c.Application.Complete(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Workers, time.Duration(c.Queue.Timeout), c.Queue.Size)

	c.Lanes = "maybe"
	fmt.Println(c.Application.Complete())
	fmt.Println(json.Unmarshal([]byte(`{"timeouts": {"dail": "5s"}}`), &c))
	// Output:
	// 16 10s 256
	// lanes: is "maybe", want on or off
	// timeouts.dail: unrecognized key 'dail', did you mean 'dial'?
}
