package watch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table is rows under a heading, which has the title at its end. The last column takes the width that is left.
type table struct {
	title   string
	columns []column
	rows    []row
}

// column is the heading of a column and its width. Numbers are aligned right, and sorted downwards.
type column struct {
	name   string
	width  int
	number bool
}

// row has a cell for each column.
type row []cell

// cell is a text, and what it is sorted by if that is a number.
type cell struct {
	text  string
	value float64
}

func text(s string) cell { return cell{text: s} }
func count(n int) cell   { return cell{strconv.Itoa(n), float64(n)} }

func seconds(s float64) cell {
	return cell{age(time.Duration(s * float64(time.Second))), s}
}

// sortBy sorts the rows by a column; reverse turns its order round.
func (t *table) sortBy(by int, reverse bool) {
	c := t.columns[by]
	slices.SortStableFunc(t.rows, func(a, b row) int {
		order := cmp.Compare(a[by].text, b[by].text)
		if c.number {
			order = cmp.Compare(b[by].value, a[by].value)
		}
		if reverse {
			return -order
		}
		return order
	})
}

// heading is the line above the rows. The column that sorts has a mark.
func (t *table) heading(width, by int, reverse bool) string {
	mark := "▾"
	if reverse {
		mark = "▴"
	}
	cells := make([]string, len(t.columns))
	for i, c := range t.columns {
		cells[i] = c.name
		if i == by {
			cells[i] += mark
		}
	}
	return t.line(width, cells)
}

func (t *table) row(width int, r row) string {
	cells := make([]string, len(r))
	for i, c := range r {
		cells[i] = c.text
	}
	return t.line(width, cells)
}

func (t *table) line(width int, cells []string) string {
	var b strings.Builder
	for i, c := range t.columns {
		if i == len(t.columns)-1 {
			b.WriteString(clip(cells[i], max(width-t.fixed(), 0)))
			break
		}
		if c.number {
			b.WriteString(padLeft(cells[i], c.width))
		} else {
			b.WriteString(padRight(cells[i], c.width))
		}
		b.WriteString("  ")
	}
	return clip(b.String(), width)
}

// fixed is the width of all columns but the last.
func (t *table) fixed() (n int) {
	for _, c := range t.columns[:len(t.columns)-1] {
		n += c.width + len("  ")
	}
	return n
}

// tables are the tables of a state, in the order of the keys 1 to 4.
func tables(s *State) []table {
	return []table{requestTable(s), routeTable(s), clientTable(s), instanceTable(s)}
}

func requestTable(s *State) table {
	t := table{title: "requests", columns: []column{
		{"age", 9, true}, {"lane", 8, false}, {"client", 8, false}, {"instance", 14, false}, {"route", 0, false},
	}}
	for _, r := range s.Requests {
		t.rows = append(t.rows, row{seconds(r.Age), text(r.Lane), text(r.Client), text(short(r.Instance, 14)), text(r.Route)})
	}
	return t
}

func routeTable(s *State) table {
	t := table{title: "routes", columns: []column{
		{"work", 9, true}, {"lane", 8, false}, {"in flight", 9, true}, {"short/long", 10, true}, {"route", 0, false},
	}}
	for _, r := range s.Gate.Routes {
		last := cell{fmt.Sprintf("%d/%d", r.Short, r.Long), float64(r.Long)}
		t.rows = append(t.rows, row{seconds(r.Work), text(r.Lane), count(r.InFlight + r.Aged), last, text(r.Route)})
	}
	return t
}

func clientTable(s *State) table {
	t := table{title: "clients", columns: []column{
		{"work", 9, true}, {"in flight", 9, true}, {"waiting", 8, true}, {"client", 0, false},
	}}
	for _, c := range s.Gate.Clients {
		t.rows = append(t.rows, row{seconds(c.Work), count(c.InFlight), count(c.Waiting), text(c.Key)})
	}
	return t
}

func instanceTable(s *State) table {
	t := table{title: "instances", columns: []column{
		{"busy", 4, true}, {"idle", 4, true}, {"queue", 7, true}, {"state", 8, false}, {"pid", 7, true}, {"threads", 7, true}, {"memory", 8, true}, {"address", 0, false},
	}}
	for _, in := range s.Pool.Instances {
		queue := text("-")
		if q := in.AcceptQueue; q != nil {
			queue = cell{fmt.Sprintf("%d/%d", q.Depth, q.Backlog), float64(q.Depth)}
		}
		pid, threads, memory := text("-"), text("-"), text("-")
		if p := s.process(in.Addr); p != nil {
			pid = count(p.PID)
			if p.Usage != nil {
				threads, memory = count(p.Usage.Threads), cell{bytesText(p.Usage.RSS), float64(p.Usage.RSS)}
			}
		}
		t.rows = append(t.rows, row{count(in.Busy), count(in.Idle), queue, text(in.State), pid, threads, memory, text(in.Addr)})
	}
	return t
}

// process returns the process that listens at an address, nil if Sluice has not started it.
func (s *State) process(addr string) *Process {
	if s.Processes == nil {
		return nil
	}
	for i := range s.Processes.Instances {
		if p := &s.Processes.Instances[i]; p.Addr == addr && p.PID != 0 {
			return p
		}
	}
	return nil
}

func bytesText(n uint64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
