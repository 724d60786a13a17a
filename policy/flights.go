package policy

// A flight is a call under way whose time a Circuit watches.
type flight struct {
	start          int64
	seq            uint64 // of its use: flights are used again, and a ticket is for one use
	newer, earlier *flight
}

// flights are the calls under way, by their start. Ended ones are kept to be used again, so that calls allocate
// nothing once there have been as many at once. The circuit's lock guards it.
type flights struct {
	first, last *flight
	spare       *flight // linked by newer
	count       int
}

func (fs *flights) len() int { return fs.count }

func (fs *flights) oldest() *flight { return fs.first }

// begin adds a flight that starts now, which is no earlier than any before.
func (fs *flights) begin(now int64) (*flight, uint64) {
	f := fs.spare
	if f == nil {
		f = new(flight)
	} else {
		fs.spare = f.newer
	}
	f.start, f.newer, f.earlier = now, nil, fs.last
	if fs.last == nil {
		fs.first = f
	} else {
		fs.last.newer = f
	}
	fs.last = f
	fs.count++
	return f, f.seq
}

// end removes a flight, and reports false if it had ended before.
func (fs *flights) end(f *flight, seq uint64) bool {
	if f.seq != seq {
		return false
	}
	if f.earlier == nil {
		fs.first = f.newer
	} else {
		f.earlier.newer = f.newer
	}
	if f.newer == nil {
		fs.last = f.earlier
	} else {
		f.newer.earlier = f.earlier
	}
	f.seq++
	f.newer, f.earlier = fs.spare, nil
	fs.spare = f
	fs.count--
	return true
}

func (fs *flights) endAll() {
	for fs.first != nil {
		fs.end(fs.first, fs.first.seq)
	}
}
