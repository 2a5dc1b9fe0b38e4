package recording

const (
	// chunkSize is gathered before it is written: at 300,000 drops a second a
	// few hundred writes.
	chunkSize = 512 << 10
	// chunks may wait for a slow disk. When all do, Write waits too, and what
	// comes meanwhile is lost in the kernel and counted there.
	chunks = 32
)

// chunk is what is written in one piece.
type chunk struct {
	open   string // begins a file of this name
	data   []byte
	stands []uint64 // how many each of its drops stands for
}

// send hands the chunk on and takes an empty one, which may have to be waited for.
func (w *Writer) send() {
	select {
	case w.full <- w.chunk:
	case <-w.stall.over:
	}
	w.chunk = w.empty()
}

// empty takes a chunk that was written, so that no more of them are made than a slow
// disk needs.
func (w *Writer) empty() *chunk {
	select {
	case c := <-w.free:
		return c
	default:
	}
	if w.made < chunks {
		w.made++
		return &chunk{data: make([]byte, 0, chunkSize+chunkSize/8)}
	}
	select {
	case c := <-w.free:
		return c
	case <-w.stall.over: // nothing is written any more
		return &chunk{}
	}
}
