package spool

import "io"

// maxEmpty is how many times in a row a source may return nothing.
const maxEmpty = 100

// ReadFrom appends all bytes of r. At io.EOF the body is whole, and is not cut any more. While it waits
// for r, it holds one page, or more if r is fast and the budget has room. A small body stays in that
// page.
func (b *Buffer) ReadFrom(r io.Reader) (n int64, err error) {
	n, err = b.firstPage(r)
	if err == nil {
		var more int64
		more, err = b.rest(r)
		n += more
	}
	if err == io.EOF {
		return n, b.markWhole()
	}
	return n, err
}

// firstPage reads until a page is full or r ends, and makes the page the beginning of the body.
func (b *Buffer) firstPage(r io.Reader) (int64, error) {
	page := b.store.takePage()
	into := page.data
	if b.limit >= 0 && b.limit < int64(len(into)) {
		into = into[:b.limit+1] // one byte more shows that the body is too large
	}
	n, err := fill(r, into)
	if aerr := b.addFirstPage(page, n); aerr != nil {
		err = aerr
	}
	return int64(n), err
}

// fill is io.ReadFull, but returns io.EOF after any number of bytes.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p); empty++ {
		m, err := r.Read(p[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty == maxEmpty {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// addFirstPage makes page, with n bytes in it, the beginning of the body.
func (b *Buffer) addFirstPage(page *chunk, n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		b.store.giveChunk(page)
		return b.closedError()
	case b.err == nil && b.over(int64(n)):
		b.err = b.tooLarge()
	}
	if b.err != nil || n == 0 {
		b.store.giveChunk(page)
		return b.err
	}
	b.chunks = append(b.chunks, page)
	b.n = int64(n)
	return nil
}

// rest appends the bytes after the first page.
func (b *Buffer) rest(r io.Reader) (n int64, err error) {
	s := b.newScratch()
	defer s.Free()
	for empty := 0; ; empty++ {
		m, err := r.Read(s.Bytes())
		n += int64(m)
		if _, werr := b.Write(s.Bytes()[:m]); werr != nil {
			return n, werr
		}
		if err != nil {
			return n, err
		}
		if m > 0 {
			empty = 0
		} else if empty == maxEmpty {
			return n, io.ErrNoProgress
		}
		if m == len(s.Bytes()) {
			s.Grow(b.store.config.Buffer)
		}
	}
}

// markWhole records that the body is complete.
func (b *Buffer) markWhole() error {
	if !b.store.receivedWhole(&b.holding) {
		return ErrCut
	}
	return nil
}
