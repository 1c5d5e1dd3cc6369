package demo

import (
	"slices"
	"sync"
	"time"
)

// mostNews is how many pieces of news are remembered.
const mostNews = 30

// News is something that has happened, in words.
type News struct {
	Number int     `json:"number"` // from 1
	At     float64 `json:"at"`     // seconds since the beginning
	Who    string  `json:"who"`
	Text   string  `json:"text"`
}

// newsList has the last news, the latest last.
type newsList struct {
	begun time.Time

	mu    sync.Mutex
	count int
	list  []News
}

func (n *newsList) add(who, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count++
	n.list = append(n.list[max(0, len(n.list)+1-mostNews):], News{n.count, time.Since(n.begun).Seconds(), who, text})
}

func (n *newsList) all() []News {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}
