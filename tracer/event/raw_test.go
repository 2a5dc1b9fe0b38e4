package event

// AppendRaw appends e as Decode reads it.
func (e *Event) AppendRaw(dst []byte) []byte {
	n := shortSize
	switch {
	case e.Flags&HasStack != 0:
		n = size
	case e.Flags&HasFailure != 0:
		n = noStackSize
	}
	e.Bytes.Front = uint16(n)
	return append(append(dst, e.raw()[:n]...), e.Data...)
}
