package watch

import (
	"fmt"
	"strings"
	"time"
)

// page is what one screen shows.
type page struct {
	addr    string
	all     *State    // as it was fetched
	state   *State    // of the application that is shown
	shown   int       // its index
	of      int       // how many there are
	at      time.Time // of the state
	now     time.Time
	err     error // why there is no newer state
	before  *State
	since   time.Duration // from before to state
	paused  bool
	focus   int // the table that has most lines
	sortBy  [4]int
	reverse [4]bool
	scroll  int
	colour  bool
	keys    bool // show the line with the keys
}

// The styles of text, as SGR parameters.
const (
	styleBold, styleDim             = "1", "2"
	styleGood, styleWarn, styleBad  = "32", "33", "1;31"
	styleShort, styleOther, styleLo = "42;30", "46;30", "43;30"
	styleTitle                      = "7" // inverse
)

// style returns s in a style, if there are colours.
func (p *page) style(style, s string) string {
	if !p.colour || s == "" || style == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// lines returns the page in a width and a height; height 0 is as many as it needs.
func (p *page) lines(width, height int) []string {
	out := p.head(width)
	if p.state == nil {
		return p.fit(append(out, p.foot(width)...), width, height)
	}
	out = append(out, p.workers(width)...)
	out = append(out, p.figures(width)...)
	room := 0
	if height > 0 {
		room = max(height-len(out)-len(p.foot(width)), 0)
	}
	out = append(out, p.tables(width, room, height == 0)...)
	return p.fit(out, width, height)
}

// fit puts the foot on the last line.
func (p *page) fit(lines []string, width, height int) []string {
	foot := p.foot(width)
	if height == 0 {
		return append(lines, foot...)
	}
	body := max(height-len(foot), 0)
	if len(lines) > body {
		lines = lines[:body]
	}
	for len(lines) < body {
		lines = append(lines, "")
	}
	return append(lines, foot...)
}

func (p *page) foot(width int) []string {
	if !p.keys {
		return nil
	}
	next := ""
	if p.of > 1 {
		next = "n next application  "
	}
	return []string{p.style(styleDim, clip("q quit  "+next+"Tab or 1-4 table  s sort  r reverse  j k scroll  p pause", width))}
}

// head says whose state it is, from when, and what is the matter.
func (p *page) head(width int) []string {
	when := p.now.Format("15:04:05")
	if p.paused {
		when += "  paused"
	}
	verdict, style := "healthy", styleGood
	var matter []Finding
	switch {
	case p.err != nil:
		verdict, style = "unreachable", styleBad
		text := p.err.Error()
		if p.state != nil {
			text = "Last seen " + age(p.now.Sub(p.at)) + " ago: " + text
		}
		matter = []Finding{{Level: "alarm", Text: text}}
	case p.state == nil:
		verdict, style = "asking", styleDim
		matter = []Finding{{Level: "notice", Text: "Waiting for the first answer."}}
	default:
		matter = p.state.matter()
		if p.state.Degraded() {
			verdict, style = "degraded", styleBad
		}
		if len(matter) == 0 {
			matter = p.state.Findings // that all is well
		}
	}
	name := p.addr
	if p.state != nil && p.state.Name != "" {
		name += "  " + p.state.Name
		if p.of > 1 {
			name += fmt.Sprintf(" (%d of %d)", p.shown+1, p.of)
		}
	}
	left := clip("sluice "+name+"  "+when, max(width-len(verdict)-1, 0))
	gap := strings.Repeat(" ", max(width-cells(left)-len(verdict), 1))
	lines := []string{clipStyled(p, styleBold, left, width) + gap + p.style(style, verdict)}
	for _, f := range matter[:min(len(matter), troubleShown)] {
		for _, l := range wrap(f.Text, width, 2) {
			lines = append(lines, p.style(levelStyles[f.Level], l))
		}
	}
	if more := len(matter) - troubleShown; more > 0 {
		lines = append(lines, clip(fmt.Sprintf("And %d more: see the page.", more), width))
	}
	return lines
}

var levelStyles = map[string]string{"alarm": styleBad, "warning": styleWarn}

// troubleShown is how many sentences are shown.
const troubleShown = 3

func clipStyled(p *page, style, s string, width int) string { return p.style(style, clip(s, width)) }

// wrap breaks a sentence into at most n lines.
func wrap(s string, width, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case cells(line)+1+cells(word) <= width || len(lines) == n-1:
			line += " " + word
		default:
			lines, line = append(lines, clip(line, width)), word
		}
	}
	return append(lines, clip(line, width))
}

// cellKind is what a worker does, as a letter and a style.
type cellKind struct {
	letter byte
	style  string
}

var (
	cellShort   = cellKind{'S', styleShort}
	cellUnknown = cellKind{'U', styleOther}
	cellMixed   = cellKind{'M', styleOther}
	cellLong    = cellKind{'L', styleLo}
	cellOther   = cellKind{'?', styleOther} // at work for nobody, or just starting
	cellFree    = cellKind{'.', ""}
	cellReserve = cellKind{'_', ""} // free, and never for long ones
	cellGone    = cellKind{'x', styleDim}
	cellOthers  = cellKind{'-', styleDim} // others have it: another gate of the fleet, or the process before this one
)

// workerCells are the workers, one after the other.
func (s *State) workerCells() (list []cellKind) {
	g := &s.Gate
	put := func(k cellKind, n int) {
		for range n {
			list = append(list, k)
		}
	}
	aged := 0
	for _, l := range g.Lanes {
		aged += l.Aged
	}
	busy := func(lane string) int { return g.Lanes[lane].InFlight - g.Lanes[lane].Aged }
	put(cellLong, aged+busy("long"))
	put(cellMixed, busy("mixed"))
	put(cellUnknown, busy("unknown"))
	put(cellShort, busy("short"))
	put(cellOther, g.InUse-len(list))
	free := max(g.Capacity-len(list), 0)
	others := min(max(g.Capacity-s.mayUse(), 0), free)
	free -= others
	reserve := min(free, g.Reserve)
	put(cellFree, free-reserve)
	put(cellReserve, reserve)
	put(cellOthers, others)
	put(cellGone, max(g.Workers, g.Capacity)-len(list))
	return list
}

// maxCellLines is how many lines the workers may take; beyond, a cell stands for several.
const maxCellLines = 4

// workers draws the workers as cells.
func (p *page) workers(width int) []string {
	const label = "workers "
	list := p.state.workerCells()
	each := 1
	perLine := max(width-len(label), 1)
	for len(list) > each*perLine*maxCellLines {
		each++
	}
	var lines []string
	var b strings.Builder
	drawn := 0
	flush := func() {
		prefix := strings.Repeat(" ", len(label))
		if len(lines) == 0 {
			prefix = label
		}
		lines = append(lines, clip(prefix, width)+b.String())
		b.Reset()
		drawn = 0
	}
	for i := 0; i < len(list); i += each {
		b.WriteString(p.style(list[i].style, string(list[i].letter)))
		if drawn++; drawn == perLine {
			flush()
		}
	}
	if drawn > 0 || len(lines) == 0 {
		flush()
	}
	legend := []string{"L long", "M mixed", "U unknown", "S short", ". free", "_ reserve", "x not there"}
	if p.state.Fleet != nil || p.state.mayUse() < p.state.Gate.Workers {
		legend = append(legend, "- elsewhere")
	}
	if each > 1 {
		legend = append([]string{fmt.Sprintf("1 cell = %d workers", each)}, legend...)
	}
	for _, l := range fill(legend, max(width-len(label), 1)) {
		lines = append(lines, p.style(styleDim, clip(strings.Repeat(" ", len(label))+l, width)))
	}
	return lines
}

// figures are the numbers below the cells.
func (p *page) figures(width int) []string {
	g := &p.state.Gate
	list := []string{
		fmt.Sprintf("busy %d/%d", g.InUse, g.Capacity), fmt.Sprintf("long %d/%d", g.Long, g.LongCap),
		fmt.Sprintf("queue %d", g.Waiting-g.parked()), fmt.Sprintf("parked %d", g.parked()), fmt.Sprintf("abandoned %d", p.state.Abandoned),
		fmt.Sprintf("connections %d/%d", p.state.Front.Connections.Open, p.state.Front.Connections.Max),
	}
	if h := p.state.Hold; h != nil {
		list = append(list, fmt.Sprintf("held %d/%d", h.Clients, h.Max))
	}
	if f := p.state.Fleet; f != nil {
		list = append(list, fmt.Sprintf("leased %d/%d", p.state.mayUse(), g.Workers), fmt.Sprintf("gates %d", f.Gates))
	}
	lines := fill(list, width)
	list = []string{fmt.Sprintf("short %.0f/s, mean %.0f ms", g.ShortRate, g.ShortMean)}
	started, refused := g.total()
	if p.before != nil && p.since > 0 {
		was, wasRefused := p.before.Gate.total()
		list = append(list, fmt.Sprintf("started %.0f/s", perSecond(started, was, p.since)), fmt.Sprintf("refused %.0f/s", perSecond(refused, wasRefused, p.since)))
	} else {
		list = append(list, fmt.Sprintf("started %d", started), fmt.Sprintf("refused %d", refused))
	}
	return append(lines, fill(list, width)...)
}

// fill puts parts on as many lines as they need. A number that is cut is another number.
func fill(parts []string, width int) (lines []string) {
	line := ""
	for _, part := range parts {
		switch {
		case line == "":
			line = part
		case cells(line)+2+cells(part) <= width:
			line += "  " + part
		default:
			lines, line = append(lines, clip(line, width)), part
		}
	}
	return append(lines, clip(line, width))
}

// perSecond is the rate of a counter. One that has become less was started again.
func perSecond(n, was uint64, since time.Duration) float64 {
	if n < was {
		return 0
	}
	return float64(n-was) / since.Seconds()
}

// Lines of a table that has not the focus, and of all tables if they are shown once.
const rowsAside, rowsOnce = 2, 10

// tables draws the tables in a number of lines; all is without a limit.
func (p *page) tables(width, room int, all bool) (out []string) {
	list := tables(p.state)
	aside := 0
	for i := range list {
		if i != p.focus {
			aside += 1 + min(len(list[i].rows), rowsAside)
		}
	}
	for i := range list {
		t := &list[i]
		t.sortBy(p.sortBy[i], p.reverse[i])
		rows, from := rowsAside, 0
		switch {
		case all:
			rows = rowsOnce
		case i == p.focus:
			rows = max(room-aside-1, 1)
			from = min(p.scroll, max(len(t.rows)-rows, 0))
		}
		title := fmt.Sprintf(" %d %s %d", i+1, t.title, len(t.rows))
		heading := padRight(t.heading(width, p.sortBy[i], p.reverse[i]), max(width-cells(title), 0))
		out = append(out, p.style(styleTitle, clip(heading+title, width)))
		for _, r := range t.rows[from:min(from+rows, len(t.rows))] {
			out = append(out, t.row(width, r))
		}
	}
	return out
}
