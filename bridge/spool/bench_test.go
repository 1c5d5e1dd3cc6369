package spool

import (
	"bytes"
	"io"
	"runtime"
	"testing"
)

// A response of 200 bytes: what nearly every request costs.
func BenchmarkPipeSmall(b *testing.B) {
	s := newStore(b, Config{})
	data, got := make([]byte, 200), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		p := s.NewPipe(Owner{})
		mustWrite(b, p, data)
		p.CloseWrite(nil)
		if n, err := p.Read(got); n != len(data) || err != nil {
			b.Fatal(n, err)
		}
		p.Close()
	}
}

func BenchmarkBufferSmall(b *testing.B) {
	s := newStore(b, Config{})
	data := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		buf := s.NewBuffer(Owner{}, -1)
		mustWrite(b, buf, data)
		if got, ok := buf.Bytes(); !ok || len(got) != len(data) {
			b.Fatal(len(got), ok)
		}
		buf.Close()
	}
}

// A form as the bridge takes it.
func BenchmarkBufferReadFrom(b *testing.B) {
	s := newStore(b, Config{})
	data := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		buf := s.NewBuffer(Owner{}, -1)
		if n, err := buf.ReadFrom(bytes.NewReader(data)); n != 200 || err != nil {
			b.Fatal(n, err)
		}
		buf.Close()
	}
}

func BenchmarkBufferOnDisk(b *testing.B) {
	s := newStore(b, Config{})
	data, got := make([]byte, 1<<20), make([]byte, 32<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		buf := s.NewBuffer(Owner{}, -1)
		mustWrite(b, buf, data)
		r := buf.NewReader()
		for {
			if _, err := r.Read(got); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
		buf.Close()
	}
}

// 1 GiB, both sides as fast as they can.
func BenchmarkPipeGiB(b *testing.B) {
	s := newStore(b, Config{})
	b.ReportAllocs()
	b.SetBytes(1 << 30)
	var mostDisk int64
	for b.Loop() {
		mostDisk = max(mostDisk, pump(b, s, 1<<30))
	}
	b.ReportMetric(float64(mostDisk), "disk-B")
}

// A quarter of a GiB allocates next to nothing, so no size of response does.
func TestPipeMemoryIsBounded(t *testing.T) {
	s := newStore(t, Config{})
	pump(t, s, 1<<20) // fills the chunk pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	pump(t, s, 256<<20)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > pumpAllocates {
		t.Errorf("allocated %d bytes for 256 MiB, want at most %d", got, pumpAllocates)
	}
}

// pump sends size bytes through a pipe and returns the most disk it saw in use.
func pump(t testing.TB, s *Store, size int64) (mostDisk int64) {
	p := s.NewPipe(Owner{})
	defer p.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		data := make([]byte, 32<<10)
		for sent := int64(0); sent < size; sent += int64(len(data)) {
			if _, err := p.Write(data); err != nil {
				t.Error(err)
				break
			}
		}
		p.CloseWrite(nil)
	}()
	got := make([]byte, 32<<10)
	var n int64
	for {
		m, err := p.Read(got)
		n += int64(m)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		mostDisk = max(mostDisk, s.Stats().Disk)
	}
	<-done
	if n != size {
		t.Errorf("%d bytes came out, %d went in", n, size)
	}
	return mostDisk
}
