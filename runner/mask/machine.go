package mask

// machine is an Aho-Corasick automaton over all forms of all secrets. Bytes that occur
// in no pattern share one column, which keeps the table of a large key small.
type machine struct {
	class [256]uint16 // column of a byte; 0: in no pattern
	width int
	next  []int32 // state*width + class -> state
	depth []int32 // length of the longest pattern start that a state stands for
	match []int32 // length of the longest pattern that ends in a state; 0: none
}

func build(patterns [][]byte) *machine {
	m := &machine{width: 1}
	size := 1
	for _, p := range patterns {
		size += len(p)
		for _, b := range p {
			if m.class[b] == 0 {
				m.class[b] = uint16(m.width)
				m.width++
			}
		}
	}
	m.next = make([]int32, m.width, min(size, 4096)*m.width)
	m.depth = append(m.depth, 0)
	m.match = append(m.match, 0)
	for _, p := range patterns {
		m.add(p)
	}
	m.link()
	return m
}

// begins reports whether a pattern begins with b. No pattern is of no machine.
func (m *machine) begins(b byte) bool { return m != nil && m.next[m.class[b]] != 0 }

// after is the state that follows on a byte.
func (m *machine) after(state int32, b byte) int32 {
	return m.next[int(state)*m.width+int(m.class[b])]
}

func (m *machine) add(pattern []byte) {
	state := int32(0)
	for i, b := range pattern {
		at := int(state)*m.width + int(m.class[b])
		if m.next[at] == 0 {
			m.next[at] = int32(len(m.depth))
			m.next = append(m.next, make([]int32, m.width)...)
			m.depth = append(m.depth, int32(i+1))
			m.match = append(m.match, 0)
		}
		state = m.next[at]
	}
	m.match[state] = int32(len(pattern))
}

// link walks the trie by breadth and fills in where each state goes on when its own
// children do not.
func (m *machine) link() {
	fail := make([]int32, len(m.depth))
	queue := make([]int32, 0, len(m.depth))
	for c := 1; c < m.width; c++ {
		if s := m.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		back := fail[state]
		m.match[state] = max(m.match[state], m.match[back])
		for c := 1; c < m.width; c++ {
			at := int(state)*m.width + c
			child := m.next[at]
			if child == 0 {
				m.next[at] = m.next[int(back)*m.width+c]
				continue
			}
			fail[child] = m.next[int(back)*m.width+c]
			queue = append(queue, child)
		}
	}
}
