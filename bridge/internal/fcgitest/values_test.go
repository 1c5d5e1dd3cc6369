package fcgitest

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestValues(t *testing.T) {
	no := string([]byte{15, 1}) + "FCGI_MPXS_CONNS0"
	yes := string([]byte{15, 1}) + "FCGI_MPXS_CONNS1"
	tests := map[string]struct {
		answer func(*Session, []string)
		want   []string // contents of GET_VALUES_RESULT
		after  time.Duration
		closes bool
	}{
		"default":  {nil, []string{no}, 0, false},
		"Libfcgi":  {ValuesLibfcgi, []string{no}, 0, false},
		"No":       {ValuesNo, []string{no}, 0, false},
		"PHP":      {ValuesPHP, []string{no}, 0, false},
		"Trac":     {ValuesTrac, []string{yes}, 0, false},
		"Yes":      {ValuesYes, []string{yes, ""}, 0, false},
		"Empty":    {ValuesEmpty, []string{""}, 0, false},
		"Silent":   {ValuesSilent, nil, 0, false},
		"Close":    {ValuesClose, []string{no}, 0, true},
		"Drop":     {ValuesDrop, nil, 0, true},
		"Late":     {ValuesLate(3 * time.Second), []string{no}, 3 * time.Second, false},
		"LateZero": {ValuesLate(0), []string{no}, 0, false},
	}
	scripts := map[string]Script{"serial": Hello, "multiplexed": MuxPage}
	for name, test := range tests {
		for kind, script := range scripts {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					peer := Start(t, script)
					if test.answer != nil {
						peer.Values(test.answer)
					}
					c := connect(t, peer.Dial)
					start := time.Now()
					c.send(getValues)
					for _, content := range test.want {
						c.want("type 10 0 " + content)
					}
					if test.closes {
						c.wantError(io.EOF)
					} else {
						wantSince(t, start, test.after)
						c.wantNothing(time.Second)
						c.wantServed(1)
						c.send(getValues)
					}
					synctest.Wait()
					for _, names := range peer.Asked() {
						if !slices.Equal(names, []string{"FCGI_MPXS_CONNS"}) {
							t.Errorf("asked for %q", names)
						}
					}
					if n := len(peer.Asked()); (n == 1) != test.closes {
						t.Errorf("asked %d times", n)
					}
				})
			})
		}
	}
}

// Applications answer what they were asked for; libfcgi is silent if the question is
// not padded.
func TestValuesOfMany(t *testing.T) {
	ask := Record(GetValues, 0, Pairs(Param{"FCGI_MAX_REQS", ""}, Param{"X", ""}, Param{"FCGI_MPXS_CONNS", ""}))
	for name, test := range map[string]struct {
		answer func(*Session, []string)
		want   []byte
	}{
		"Trac":    {ValuesTrac, Pairs(Param{"FCGI_MAX_REQS", "100000"}, Param{"FCGI_MPXS_CONNS", "1"})},
		"PHP":     {ValuesPHP, Pairs(Param{"FCGI_MAX_REQS", "2"}, Param{"FCGI_MPXS_CONNS", "0"})},
		"Libfcgi": {ValuesLibfcgi, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := Start(t, Hello)
				peer.Values(test.answer)
				c := connect(t, peer.Dial)
				c.send(ask)
				if test.want != nil {
					c.want("type 10 0 " + string(test.want))
				}
				c.wantNothing(time.Second)
				if got := peer.Asked(); len(got) != 1 || !slices.Equal(got[0], []string{"FCGI_MAX_REQS", "X", "FCGI_MPXS_CONNS"}) {
					t.Errorf("asked for %q", got)
				}
			})
		})
	}
}

func TestPairs(t *testing.T) {
	long := string(make([]byte, 300))
	got := Pairs(Param{"A", "bcd"}, Param{"B", long})
	want := append([]byte{1, 3, 'A', 'b', 'c', 'd', 1, 0x80, 0, 1, 44, 'B'}, long...)
	if !slices.Equal(got, want) {
		t.Errorf("Pairs = % x, want % x", got, want)
	}
}

func TestGetValuesWithID(t *testing.T) {
	f := &failures{T: t}
	peer := Start(f, Hello)
	c := connect(t, peer.Dial)
	c.send(Record(GetValues, 1, nil))
	c.wantError(io.EOF)
	f.want("GET_VALUES with id 1")
}
