package supervise

// errand is a question whose answer may take a while. It belongs to the goroutine of
// keeper.run. The zero errand asks nothing.
type query[T any] struct{ answer chan T }

// send asks, without waiting. The keeper looks at everything when the answer is there.
func startQuery[T any](sup *supervisor, ask func() T) query[T] {
	e := query[T]{make(chan T, 1)}
	sup.tasks.Go(func() {
		e.answer <- ask()
		sup.wake()
	})
	return e
}

// isOut reports whether there is an answer to come, or to take.
func (e *query[T]) isPending() bool { return e.answer != nil }

// take returns the answer, once.
func (e *query[T]) take() (answer T, ok bool) {
	select {
	case answer = <-e.answer: // never if nothing was asked
		e.answer = nil
		return answer, true
	default:
		return answer, false
	}
}
