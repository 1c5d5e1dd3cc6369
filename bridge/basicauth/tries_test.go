package basicauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-proxy/sluice/bridge/cgi"
)

// A client that guesses is refused for a while. Others are not, and neither is who is known.
func TestGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log := newAuth(t, "jane:"+sha1Jane+"\n", Config{})
		try := func(address, guess string) *cgi.RequestError {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.SetBasicAuth("jane", guess)
			c := cgi.Client{Addr: address}
			if a.Identify(r, &c); c.Refused == nil {
				return &cgi.RequestError{Status: 200}
			}
			return c.Refused
		}
		known := "192.0.2.1"
		if e := try(known, password); e.Status != 200 {
			t.Fatal(e)
		}
		for i := range triesBurst {
			if e := try(known, fmt.Sprint("guess ", i)); e.Status != 401 {
				t.Fatalf("guess %d: %v", i, e)
			}
		}
		if e := try(known, "one more"); e.Status != 429 || e.Retry != triesEvery || e.Challenge != "" {
			t.Errorf("one more: %+v", e)
		}
		if e := try(known, "guess 3"); e.Status != 401 {
			t.Errorf("one that is known to be wrong: %v", e)
		}
		if e := try(known, password); e.Status != 200 {
			t.Errorf("who is known: %v", e)
		}
		if e := try("198.51.100.1", "guess"); e.Status != 401 {
			t.Errorf("another address: %v", e)
		}
		for i := range 3 * triesBurst {
			if e := try("127.0.0.1", fmt.Sprint("local ", i)); e.Status != 401 {
				t.Fatalf("from this machine: %v", e)
			}
		}
		time.Sleep(triesEvery)
		if e := try(known, "later"); e.Status != 401 {
			t.Errorf("later: %v", e)
		}
		if e := try(known, "later still"); e.Status != 429 {
			t.Errorf("at once: %v", e)
		}
		if !strings.Contains(log.String(), "log-in is refused for a while") {
			t.Error(log)
		}
	})
}

// A right password is no guess, and addresses that have not tried for long are forgotten.
func TestTriesAreForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	n := newTries()
	for range 3 * triesBurst {
		if wait := n.begin("192.0.2.1", now); wait > 0 {
			t.Fatal(wait)
		}
		n.takeBack("192.0.2.1", now)
	}
	if len(n.until) > 0 {
		t.Errorf("%v", n.until)
	}
	for i := range maxTriers + 100 {
		n.begin(fmt.Sprintf("2001:db8:%x::/64", i), now)
	}
	if len(n.until) != maxTriers {
		t.Errorf("%d addresses", len(n.until))
	}
	now = now.Add(triesWindow)
	if n.begin("192.0.2.1", now); len(n.until) != 1 {
		t.Errorf("%d addresses afterwards", len(n.until))
	}
	for _, local := range []string{"", "unix", "::1/64", "::/64", "127.0.0.1"} {
		if !isLocal(local) {
			t.Errorf("%q is not local", local)
		}
	}
}

// All gates of a fleet count the passwords that an address guesses.
func TestGuessesAtOtherGates(t *testing.T) {
	now, address := time.Unix(1e9, 0), "192.0.2.1"
	n := newTries()
	n.begin(address, now)
	if list := n.told(9); len(list) != 0 {
		t.Errorf("told of what was before anybody asked: %v", list)
	}
	n.begin(address, now)
	n.begin(address, now)
	n.takeBack(address, now)
	n.begin("127.0.0.1", now)
	n.takeBack("127.0.0.1", now)
	if list := n.told(9); len(list) != 1 || list[address] != triesEvery {
		t.Errorf("%v", list)
	}
	n.takeBack(address, now) // it was told
	if list := n.told(9); len(list) != 1 || list[address] != -triesEvery {
		t.Errorf("%v", list)
	}
	for i := range 9 {
		n.begin(fmt.Sprint("192.0.2.", i+10), now)
	}
	if list := n.told(5); len(list) != 5 || len(n.told(5)) != 4 {
		t.Errorf("%v", list)
	}

	n.begin(address, now)
	n.owes(address, triesWindow, now) // 20 guesses, and one that was not told
	if wait := n.begin(address, now); wait != 2*triesEvery {
		t.Errorf("waits %v, want %v", wait, 2*triesEvery)
	}
	n.owes(address, 0, now)
	n.owes(address, triesEvery, now) // less than is known here
	if wait := n.begin(address, now.Add(triesEvery)); wait != triesEvery {
		t.Errorf("waits %v, want %v", wait, triesEvery)
	}
	for i := range 2 * maxTriers {
		n.begin(fmt.Sprintf("2001:db8:%x::/64", i), now)
		n.owes(fmt.Sprintf("2001:db9:%x::/64", i), time.Minute, now)
	}
	if len(n.until) > maxTriers || len(n.untold) > maxTriers {
		t.Errorf("%d addresses, %d not told", len(n.until), len(n.untold))
	}
}
