package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

func Example() {
	cfg := admission.Defaults(1)
	cfg.Size, cfg.LongSize = 0, 0 // nobody may wait
	gate, err := admission.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer gate.Close()

	page := admission.Request{Route: "GET /wiki/Start"}
	first, err := gate.Acquire(context.Background(), &page)
	if err != nil {
		log.Fatal(err)
	}
	_, err = gate.Acquire(context.Background(), &page)
	var refusal *admission.Refusal
	fmt.Println(errors.As(err, &refusal), refusal.Reason)

	first.Done()
	second, err := gate.Acquire(context.Background(), &page)
	fmt.Println(err)
	second.Done()
	// Output:
	// true full
	// <nil>
}
