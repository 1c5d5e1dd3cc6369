package admission_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/sluice-proxy/sluice/bridge/admission"
)

func Example() {
	gate, err := admission.New(admission.Config{Slots: 1, Size: 0, Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer gate.Close()

	grant, err := gate.Acquire(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	_, err = gate.Acquire(context.Background())
	fmt.Println(errors.Is(err, admission.ErrQueueFull))

	grant.Release()
	grant, err = gate.Acquire(context.Background())
	fmt.Println(err)
	grant.Release()
	// Output:
	// true
	// <nil>
}
