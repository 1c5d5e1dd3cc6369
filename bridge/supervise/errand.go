package supervise

// errand is a question whose answer may take a while. It belongs to the goroutine of
// keeper.run. The zero errand asks nothing.
type errand[T any] struct{ answer chan T }

// send asks, without waiting. The keeper looks at everything when the answer is there.
func send[T any](k *keeper, ask func() T) errand[T] {
	e := errand[T]{make(chan T, 1)}
	k.tasks.Go(func() {
		e.answer <- ask()
		k.nudge()
	})
	return e
}

// isOut reports whether there is an answer to come, or to take.
func (e *errand[T]) isOut() bool { return e.answer != nil }

// take returns the answer, once.
func (e *errand[T]) take() (answer T, ok bool) {
	select {
	case answer = <-e.answer: // never if nothing was asked
		e.answer = nil
		return answer, true
	default:
		return answer, false
	}
}
