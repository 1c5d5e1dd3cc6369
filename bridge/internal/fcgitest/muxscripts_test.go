package fcgitest

import (
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestMuxAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxAfter(3*time.Second, Page)).Dial)
		start := time.Now()
		c.send(whole(1, "/"))
		time.Sleep(time.Second)
		c.send(whole(2, "/"))
		c.want(page(1)...)
		wantSince(t, start, 3*time.Second)
		c.want(page(2)...)
		wantSince(t, start, 4*time.Second)
	})
}

// Records of several big answers come between each other, and add up.
func TestMuxBig(t *testing.T) {
	const size = 300_000
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxBig(size)).Dial)
		c.send(whole(1, "/"), whole(2, "/"))
		synctest.Wait()
		header := len("Content-Type: application/octet-stream\n\n")
		got := map[uint16]int{1: -header, 2: -header}
		var other uint16 // the request that had not ended when the first END came
		for range 2 {
			for {
				rec, err := readRecord(c)
				if err != nil {
					t.Fatal(err)
				}
				if rec.typ == EndRequest {
					other = 3 - rec.id
					break
				}
				got[rec.id] += len(rec.content)
			}
			if got[3-other] != size || got[other] == -header {
				t.Errorf("got %v bytes at the end of request %d", got, 3-other)
			}
		}
	})
}

func TestMuxDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := Start(t, MuxDies(2))
		for range 2 { // each connection counts for itself
			c := connect(t, peer.Dial)
			c.wantServed(1)
			c.send(whole(2, "/"), whole(3, "/"), whole(4, "/"))
			c.want(page(2)...)
			c.want("out 3 The first of ")
			c.wantError(io.EOF)
		}
	})
}

func TestMuxCutRecord(t *testing.T) {
	c := connect(t, Start(t, MuxCutRecord).Dial)
	c.send(whole(1, "/"))
	got, err := io.ReadAll(c)
	if want := string(Out(1, Page)[:20]); string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestMuxStrays(t *testing.T) {
	c := connect(t, Start(t, MuxStray).Dial)
	c.send(whole(7, "/"))
	c.want(append(page(0x8007), "out 7 uri=/", "end 7 0")...)

	c = connect(t, Start(t, MuxFreedStray).Dial)
	c.send(whole(7, "/"))
	c.want("out 7 uri=/", "end 7 0", "end 7 0")
	c.send(whole(7, "/again"))
	c.want("out 7 uri=/again", "end 7 0", "end 7 0")
}

func TestMuxRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		script Script
		served int
		status int
	}{
		"CantMpx":       {CantMpx, 1, CantMpxConn},
		"MuxOverloaded": {MuxOverloaded(3), 3, Overloaded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connect(t, Start(t, test.script).Dial)
				start := time.Now()
				for range 2 { // those refused do not count for the next round
					var all []byte
					for id := range uint16(test.served + 2) {
						all = append(all, whole(id+1, "/")...)
					}
					c.send(all)
					c.want(fmt.Sprintf("end %d %d", test.served+1, test.status), fmt.Sprintf("end %d %d", test.served+2, test.status))
					wantSince(t, start, 0)
					ends := 0
					for ends < test.served {
						got, err := c.next()
						if err != nil {
							t.Fatal(err)
						}
						var id, status int
						if n, _ := fmt.Sscanf(got, "end %d %d", &id, &status); n == 2 && id <= test.served && status == RequestComplete {
							ends++
						}
					}
					wantSince(t, start, 100*time.Millisecond)
					start = time.Now()
				}
			})
		})
	}
}

// MuxDeafTo answers, but the buffers fill.
func TestMuxDeafTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, Start(t, MuxDeafTo(2)).Dial)
		c.wantServed(1)
		c.wantServed(2)
		c.send(whole(3, "/"))
		c.wantNothing(time.Hour)
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(make([]byte, 2*bufferSize))
		if want := bufferSize - len(whole(3, "/")); n != want || !os.IsTimeout(err) {
			t.Errorf("Write = %d, %v, want %d and a timeout", n, err, want)
		}
	})
}
