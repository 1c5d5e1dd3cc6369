package status_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/sluice-proxy/sluice/bridge"
	"github.com/sluice-proxy/sluice/bridge/status"
)

func Example() {
	b, err := bridge.New(context.Background(), bridge.Config{ApplicationConfig: bridge.ApplicationConfig{Backends: []string{"unix:/run/app.sock"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()

	res := httptest.NewRecorder()
	status.Handler(b.Snapshot).ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	fmt.Print(res.Code, " ", res.Body)
	// Output: 200 ok
}
