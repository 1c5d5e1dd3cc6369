package supervise_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge/supervise"
)

// Two instances that are replaced once a day. A Config.Front would get their addresses, and send
// requests to them; bridge.Config.Spawn does all of this.
func Example() {
	supervise.Child() // first thing in main

	app, err := supervise.Start(context.Background(), supervise.Config{
		Command:     []string{"./trac.fcgi"},
		Dir:         "/srv/trac",
		User:        "trac",
		Reexec:      true, // a change of user needs it
		Instances:   2,
		MaxLifetime: 24 * time.Hour,
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close()
	for _, instance := range app.Snapshot().Instances {
		log.Print(instance.Addr, " is ", instance.State)
	}
}
