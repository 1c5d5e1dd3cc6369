//go:build linux

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a tab of a real browser.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string // what the browser has logged as an error: exceptions, and what the policy forbids
}

// startBrowser starts a browser that ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(need(t, "chromium", "chromium-browser", "google-chrome")), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(patience))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		d := e.ExceptionDetails
		text := d.Text
		if d.Exception != nil {
			text += " " + d.Exception.Description
		}
		b.complain(text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "net::ERR") { // a restarted gate cannot be connected to
			b.complain(e.Entry.Text)
		}
	}
}

func (b *browser) complain(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, text)
}

// mustNotComplain checks that there was no error in the page.
func (b *browser) mustNotComplain(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %s", strings.Join(b.complaints, "\n"))
	}
}

// act runs an action in the tab, and returns its value.
func act[T any](t *testing.T, b *browser, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// do runs a command of the browser's protocol.
func do[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		t.Fatal(err)
	}
}

func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	act(t, b, chromedp.Navigate(url))
}

func (b *browser) click(t *testing.T, selector string) {
	t.Helper()
	act(t, b, chromedp.Click(chromedp.CSS(selector)))
}

// value is what a script evaluates to; promises are waited for.
func value[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	return act(t, b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// awaitText waits until an element has a text with a part.
func (b *browser) awaitText(t *testing.T, selector, part string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in %s", part, selector), func() error {
		if text := value[string](t, b, fmt.Sprintf("document.querySelector(%q)?.textContent ?? ''", selector)); !strings.Contains(text, part) {
			return fmt.Errorf("it is %q", text)
		}
		return nil
	})
}

// look sets the size of the window and the theme: "light" or "dark".
func (b *browser) look(t *testing.T, width, height int64, theme string) {
	t.Helper()
	act(t, b, chromedp.EmulateViewport(width, height))
	do(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	time.Sleep(300 * time.Millisecond) // the charts are drawn again
}

// forceColours shows pages as with few colours of the user's choice.
func (b *browser) forceColours(t *testing.T) {
	t.Helper()
	do(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}}})
}

// picture keeps a picture of the whole page in integration/out, for people.
func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	image := act(t, b, chromedp.FullScreenshot(100))
	if err := os.MkdirAll("out", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("out", name+".png"), image, 0o644); err != nil {
		t.Fatal(err)
	}
}
