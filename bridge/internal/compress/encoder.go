package compress

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sluice-proxy/sluice/bridge/config"
)

// Encoder compresses one answer at a time. What its methods return is its memory until the next call.
type Encoder struct {
	site  *Site
	kind  int // index of the coding in the site's pools
	w     writer
	out   buffer
	dirty bool // there may be something in w
	ended bool
}

// writer is a *gzip.Writer or a *zstd.Encoder.
type writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// buffer is where a writer writes to.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// window is how far back zstd looks, in bytes. More costs memory, and pages are seldom larger.
const window = 128 << 10

// levels are those of gzip and zstd, by what a setting calls them. What they cost is in
// docs/compression.md.
var levels = map[config.CompressionLevel]struct {
	gzip int
	zstd zstd.EncoderLevel
}{
	config.LevelFast:  {1, zstd.SpeedFastest},
	config.LevelUsual: {4, zstd.SpeedDefault},
	config.LevelBest:  {7, zstd.SpeedBetterCompression},
}

// newWriter makes a writer for a coding.
func newWriter(coding string, level config.CompressionLevel) writer {
	var (
		w   writer
		err error
	)
	if coding == Zstd {
		w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(levels[level].zstd), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	} else {
		w, err = gzip.NewWriterLevel(nil, levels[level].gzip)
	}
	if err != nil {
		panic(err) // the options above are wrong
	}
	return w
}

// Write compresses p, and returns what is ready of it, which may be nothing.
func (e *Encoder) Write(p []byte) []byte {
	e.out = e.out[:0]
	if len(p) > 0 {
		e.dirty = true
		e.do(func() error { _, err := e.w.Write(p); return err })
	}
	return e.out
}

// Flush returns what was written and is not ready yet, so that the client can read all of it.
func (e *Encoder) Flush() []byte {
	e.out = e.out[:0]
	if e.dirty {
		e.dirty = false
		e.do(e.w.Flush)
	}
	return e.out
}

// End returns the end of the answer, which is complete; nothing the second time.
func (e *Encoder) End() []byte {
	e.out = e.out[:0]
	if !e.ended {
		e.ended = true
		e.do(e.w.Close)
	}
	return e.out
}

// do calls a method of the writer, which has no reason to fail: it writes to memory.
func (e *Encoder) do(f func() error) {
	if err := f(); err != nil {
		panic("compress: " + err.Error())
	}
}

// keepOut is the largest buffer that is kept for other answers, in bytes.
const keepOut = 128 << 10

// Release gives the encoder back to its site.
func (e *Encoder) Release() {
	if cap(e.out) > keepOut {
		e.out = nil
	}
	e.site.pools[e.kind].Put(e)
	e.site.inUse.Add(-1)
	e.site.counts.InUse.Add(-1)
}
