package probe_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"

	"github.com/sluice-proxy/sluice/bridge/probe"
)

func Example() {
	dir, err := os.MkdirTemp("", "app")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, http.NotFoundHandler())

	report, err := probe.Run(context.Background(), probe.Config{Address: "unix:" + path, Network: "unix", Addr: path, Max: 8})
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range report.Rows() {
		switch row.Name {
		case "keep-alive", "multiplexing", "capacity":
			fmt.Printf("%s: %s\n", row.Name, row.Text)
		}
	}
	advice := report.Advise(probe.Settings{Multiplex: "off"})
	fmt.Println(advice.Warnings[0])
	// Output:
	// keep-alive: honoured: the connection takes further requests
	// multiplexing: works: a second request was answered while the first was unfinished
	// capacity: no limit seen up to 8 connections
	// --multiplex off: this backend multiplexes; auto needs fewer connections
}
