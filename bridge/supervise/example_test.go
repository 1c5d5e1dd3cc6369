package supervise_test

import (
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/supervise"
)

func Example() {
	supervise.Child() // first thing in main

	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	app, err := supervise.Start(supervise.Config{
		Command: []string{"./trac.fcgi"},
		Dir:     "/srv/trac",
		User:    "trac",
		Reexec:  true, // a change of user needs it
		Logger:  logger,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close()

	b, err := bridge.New(bridge.Config{
		Backends: []string{app.Addr()},
		Workers:  15,
		Logger:   logger,
		Alive:    func() bool { return app.Pid() != 0 },
		Observe: func(_ *http.Request, o *bridge.Outcome) {
			if o.FirstByte > 0 {
				app.Served(time.Now().Add(o.Queued + o.FirstByte - o.Total))
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	log.Print(http.ListenAndServe("127.0.0.1:8080", b))
}
