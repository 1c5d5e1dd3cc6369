package cgi_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

func ExampleMapper_Vars() {
	m, err := cgi.NewMapper(cgi.Config{
		Mount:          "/sandbox",
		Env:            map[string]string{"TRAC_ENV": "/srv/trac"},
		TrustedProxies: []string{"192.0.2.0/24"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()

	r := httptest.NewRequest("GET", "/sandbox/wiki/A%20B?version=3", nil)
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	r.Header.Set("X-Forwarded-Proto", "https")
	vars, err := m.Vars(nil, r, new(m.Client(r)), 0)
	if err != nil {
		log.Fatal(err)
	}
	shown := []string{"SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTPS", "TRAC_ENV"}
	for _, v := range vars {
		if slices.Contains(shown, v.Name) {
			fmt.Printf("%s=%s\n", v.Name, v.Value)
		}
	}
	// Unordered output:
	// SCRIPT_NAME=/sandbox
	// PATH_INFO=/wiki/A B
	// QUERY_STRING=version=3
	// REMOTE_ADDR=203.0.113.9
	// HTTPS=on
	// TRAC_ENV=/srv/trac
}

func ExampleParseResponse() {
	fromApplication := []byte("Status: 404 Not Found\nContent-Type: text/plain\n\nno such page")
	end := cgi.HeaderEnd(fromApplication, 0)
	header := http.Header{}
	response, err := cgi.ParseResponse(fromApplication[:end], header)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, header.Get("Content-Type"))
	fmt.Printf("%s\n", fromApplication[end:])
	// Output:
	// 404 text/plain
	// no such page
}
