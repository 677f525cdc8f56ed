package mask

// machine is an Aho-Corasick automaton over all forms of all secrets. Nearly every state
// has one child, so children are kept as lists and not as a table: that of a large key
// would take megabytes, which every attempt would have to fill before its first command.
type machine struct {
	// root are the states after one byte; 0: no pattern begins with it.
	root [256]int32
	// first is a state's first child, sibling the next child of the same parent; 0: none.
	// label is the byte that leads to a state.
	first   []int32
	sibling []int32
	label   []byte
	// fail is where a state goes on when no child of its own does.
	fail  []int32
	depth []int32 // length of the longest pattern start that a state stands for
	match []int32 // length of the longest pattern that ends in a state; 0: none
}

func build(patterns [][]byte) *machine {
	m := &machine{}
	m.state(0, 0)
	for _, p := range patterns {
		m.add(p)
	}
	m.link()
	return m
}

// begins reports whether a pattern begins with b. No pattern is of no machine.
func (m *machine) begins(b byte) bool { return m != nil && m.root[b] != 0 }

// after is the state that follows on a byte.
func (m *machine) after(state int32, b byte) int32 {
	for state != 0 {
		if child := m.child(state, b); child != 0 {
			return child
		}
		state = m.fail[state]
	}
	return m.root[b]
}

// child is the state that b leads to from another one than the root; 0: there is none.
func (m *machine) child(state int32, b byte) int32 {
	c := m.first[state]
	for c != 0 && m.label[c] != b {
		c = m.sibling[c]
	}
	return c
}

func (m *machine) state(label byte, depth int32) int32 {
	m.first, m.sibling = append(m.first, 0), append(m.sibling, 0)
	m.label, m.fail = append(m.label, label), append(m.fail, 0)
	m.depth, m.match = append(m.depth, depth), append(m.match, 0)
	return int32(len(m.depth) - 1)
}

func (m *machine) add(pattern []byte) {
	state := int32(0)
	for i, b := range pattern {
		var next int32
		if i == 0 {
			next = m.root[b]
		} else {
			next = m.child(state, b)
		}
		if next == 0 {
			next = m.state(b, int32(i+1))
			if i == 0 {
				m.root[b] = next
			}
			m.sibling[next], m.first[state] = m.first[state], next
		}
		state = next
	}
	m.match[state] = int32(len(pattern))
}

// link walks the trie by breadth and finds for each state the longest other one that
// ends like it.
func (m *machine) link() {
	queue := make([]int32, 1, len(m.depth))
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		for c := m.first[state]; c != 0; c = m.sibling[c] {
			if state != 0 {
				m.fail[c] = m.after(m.fail[state], m.label[c])
			}
			m.match[c] = max(m.match[c], m.match[m.fail[c]])
			queue = append(queue, c)
		}
	}
}
