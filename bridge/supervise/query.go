package supervise

// query is a function that runs in a task and whose result the supervisor takes in a later
// pass. The zero query is none.
type query[T any] struct{ result chan T }

// startQuery has f run. The supervisor makes a pass when the result is there.
func startQuery[T any](sup *supervisor, f func() T) query[T] {
	q := query[T]{make(chan T, 1)}
	sup.tasks.Go(func() {
		q.result <- f()
		sup.wake()
	})
	return q
}

// isPending reports whether the result was not taken yet.
func (q *query[T]) isPending() bool { return q.result != nil }

// take returns the result, once.
func (q *query[T]) take() (result T, ok bool) {
	select {
	case result = <-q.result: // nil, which is never ready, if there is none
		q.result = nil
		return result, true
	default:
		return result, false
	}
}
