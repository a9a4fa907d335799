package remoting

// Load is what the connections of a server have before them.
type Load struct {
	Conns     int
	Unsent    int // bytes of answers that peers have not taken
	UnsentMax int // of one connection
	Stalled   int // connections that are not read until their peers take answers
}

// Load looks at all connections.
func (s *Server) Load() Load {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := Load{Conns: len(s.conns)}
	for c := range s.conns {
		c.mu.Lock()
		n, stalled := c.waitingLocked(), c.stalled
		c.mu.Unlock()
		l.Unsent += n
		l.UnsentMax = max(l.UnsentMax, n)
		if stalled {
			l.Stalled++
		}
	}
	return l
}
