package terminal

import (
	"bytes"
	"strconv"
)

// Colour is 0 for the default, else one more than the number of a palette of 256, or an
// RGB value.
type Colour int32

// rgbFlag marks a Colour that is red, green and blue.
const rgbFlag = 1 << 24

// Palette is the number of a colour of the palette, -1 for others.
func (c Colour) Palette() int {
	if c > 256 {
		return -1
	}
	return int(c) - 1
}

// RGB is red, green and blue of a colour that is no default.
func (c Colour) RGB() (r, g, b uint8) {
	if c >= rgbFlag {
		return uint8(c >> 16), uint8(c >> 8), uint8(c)
	}
	switch n := int(c) - 1; {
	case n >= 232:
		grey := uint8(8 + (n-232)*10)
		return grey, grey, grey
	case n >= 16:
		level := func(v int) uint8 {
			if v == 0 {
				return 0
			}
			return uint8(55 + v*40)
		}
		return level((n - 16) / 36), level((n - 16) / 6 % 6), level((n - 16) % 6)
	default:
		const on, off = 0xcd, 0x00
		bit := func(i int) uint8 {
			if n>>i&1 == 1 {
				return on
			}
			return off
		}
		return bit(0), bit(1), bit(2)
	}
}

// Style is how text looks. What would hide it or make it blink is not kept.
type Style struct {
	Foreground, Background                           Colour
	Bold, Faint, Italic, Underline, Strike, Inverted bool
}

// maxParameters bounds one sequence: a terminal keeps few.
const maxParameters = 32

// apply is the style after the parameters of a sequence that ends in m.
func (s Style) apply(parameters []byte) Style {
	groups := bytes.SplitN(parameters, []byte{';'}, maxParameters+1)
	for len(groups) > 0 {
		n, sub := number(groups[0])
		switch n {
		case 38, 48:
			var c Colour
			var used int
			if sub != nil {
				c, used = subColour(sub), 1
			} else {
				c, used = listColour(groups)
			}
			if c != 0 && n == 38 {
				s.Foreground = c
			} else if c != 0 {
				s.Background = c
			}
			groups = groups[min(used, len(groups)):]
			continue
		case 4:
			s.Underline = !bytes.Equal(sub, []byte{'0'})
		default:
			s.set(n)
		}
		groups = groups[1:]
	}
	return s
}

// set applies a parameter that stands alone.
func (s *Style) set(n int) {
	switch {
	case n == 0:
		*s = Style{}
	case n == 1:
		s.Bold = true
	case n == 2:
		s.Faint = true
	case n == 3:
		s.Italic = true
	case n == 7:
		s.Inverted = true
	case n == 9:
		s.Strike = true
	case n == 22:
		s.Bold, s.Faint = false, false
	case n == 23:
		s.Italic = false
	case n == 24:
		s.Underline = false
	case n == 27:
		s.Inverted = false
	case n == 29:
		s.Strike = false
	case n >= 30 && n <= 37:
		s.Foreground = Colour(n - 30 + 1)
	case n == 39:
		s.Foreground = 0
	case n >= 40 && n <= 47:
		s.Background = Colour(n - 40 + 1)
	case n == 49:
		s.Background = 0
	case n >= 90 && n <= 97:
		s.Foreground = Colour(n - 90 + 8 + 1)
	case n >= 100 && n <= 107:
		s.Background = Colour(n - 100 + 8 + 1)
	}
}

// number reads a parameter, 0 when it is empty, with what follows its first colon; -1 for
// none that is known.
func number(text []byte) (n int, sub []byte) {
	head, rest, found := bytes.Cut(text, []byte{':'})
	if found {
		sub = rest
	}
	if len(head) == 0 {
		return 0, sub
	}
	n, err := strconv.Atoi(string(head))
	if err != nil {
		return -1, sub
	}
	return n, sub
}

// listColour reads 38;5;N and 38;2;R;G;B, and how many parameters they take.
func listColour(groups [][]byte) (c Colour, used int) {
	at := func(i int) int {
		if i >= len(groups) {
			return -1
		}
		n, _ := number(groups[i])
		return n
	}
	switch at(1) {
	case 5:
		return palette(at(2)), 3
	case 2:
		return rgb(at(2), at(3), at(4)), 5
	}
	return 0, 2
}

// subColour reads 5:N, 2:R:G:B and 2:SPACE:R:G:B.
func subColour(text []byte) Colour {
	parts := bytes.SplitN(text, []byte{':'}, 8)
	at := func(i int) int {
		n, _ := number(parts[i])
		return n
	}
	switch {
	case at(0) == 5 && len(parts) >= 2:
		return palette(at(1))
	case at(0) == 2 && len(parts) == 4:
		return rgb(at(1), at(2), at(3))
	case at(0) == 2 && len(parts) >= 5:
		return rgb(at(2), at(3), at(4))
	}
	return 0
}

func palette(n int) Colour {
	if n < 0 || n > 255 {
		return 0
	}
	return Colour(n + 1)
}

func rgb(r, g, b int) Colour {
	for _, v := range []int{r, g, b} {
		if v < 0 || v > 255 {
			return 0
		}
	}
	return Colour(rgbFlag | r<<16 | g<<8 | b)
}
