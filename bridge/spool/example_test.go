package spool_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sluice-proxy/sluice/bridge/spool"
)

// A request body is taken in full before a worker is, and may be sent twice.
func ExampleStore_NewBuffer() {
	store, err := spool.New(spool.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	body := store.NewBuffer(spool.Owner{}, 1<<20)
	defer body.Close()
	if _, err := body.ReadFrom(strings.NewReader("comment=Fixed+in+r42")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("CONTENT_LENGTH", body.Len())
	for range 2 {
		io.Copy(os.Stdout, body.NewReader())
		fmt.Println()
	}
	// Output:
	// CONTENT_LENGTH 20
	// comment=Fixed+in+r42
	// comment=Fixed+in+r42
}

// The worker has finished writing before the client begins to read.
func ExampleStore_NewPipe() {
	store, err := spool.New(spool.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	response := store.NewPipe(spool.Owner{})
	defer response.Close()

	fmt.Fprintln(response, "Ticket #7 saved.")
	response.CloseWrite(nil)

	io.Copy(os.Stdout, response)
	// Output:
	// Ticket #7 saved.
}
