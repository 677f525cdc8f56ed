package terminal

import "bytes"

const escape = 0x1b

// Plain takes what a terminal would act on out of a line, and the carriage return at its
// end: what people search is what they read. Without such it returns line itself.
func Plain(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	at := bytes.IndexByte(line, escape)
	if at < 0 {
		return line
	}
	buf := make([]byte, 0, len(line))
	for at >= 0 {
		buf = append(buf, line[:at]...)
		line = line[at+sequence(line[at:]):]
		at = bytes.IndexByte(line, escape)
	}
	return append(buf, line...)
}

// sequence is the length of the control sequence that b begins with, whose first byte is
// an escape. One that has no end counts as its introducer alone: what a program leaves
// open must not hide the rest of a line.
func sequence(b []byte) int {
	if len(b) < 2 {
		return 1
	}
	switch c := b[1]; {
	case c == '[':
		return controlSequence(b)
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		return controlString(b)
	case c >= ' ' && c <= '/':
		i := 2
		for i < len(b) && b[i] >= ' ' && b[i] <= '/' {
			i++
		}
		if i < len(b) && b[i] >= '0' && b[i] <= '~' {
			return i + 1
		}
		return 1
	case c >= '0' && c <= '~':
		return 2
	}
	return 1
}

// controlSequence is the length of what begins with ESC [.
func controlSequence(b []byte) int {
	i := 2
	for i < len(b) && b[i] >= '0' && b[i] <= '?' {
		i++
	}
	for i < len(b) && b[i] >= ' ' && b[i] <= '/' {
		i++
	}
	if i < len(b) && b[i] >= '@' && b[i] <= '~' {
		return i + 1
	}
	return 2
}

// controlString is the length of a title, a link or another string for the terminal.
func controlString(b []byte) int {
	for i := 2; i < len(b); i++ {
		switch {
		case b[i] == 0x07 && b[1] == ']':
			return i + 1
		case b[i] == escape:
			if i+1 < len(b) && b[i+1] == '\\' {
				return i + 2
			}
			return 2
		}
	}
	return 2
}
