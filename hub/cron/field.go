package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one field of an expression, bound to the schedule that it fills.
type field struct {
	name string
	// min to max are the values, and names those from min on.
	min, max int
	names    []string
	// open is where "*" and steps without an end stop: max, but for cron's second
	// Sunday.
	open int
	// cycle is after how many values they begin again, as 22-2 needs; 0: never.
	cycle int
	// allowed tells a person the values.
	allowed string
	// add selects a value.
	add func(value int)
	// special reads an item that is no range and no step; done is false for others.
	special func(item string) (problem string, done bool)
	// ofDay is set for seconds, minutes and hours, unsettable for what may be "?".
	ofDay, unsettable bool
}

// parse reads the whole field. problem goes on after its text, "" for none.
func (f *field) parse(text string) (problem string) {
	if f.unsettable && text == "?" {
		return f.parseItem("*")
	}
	for item := range strings.SplitSeq(strings.ToUpper(text), ",") {
		if problem := f.parseItem(item); problem != "" {
			return problem
		}
	}
	return ""
}

func (f *field) parseItem(item string) (problem string) {
	if f.special != nil {
		if problem, done := f.special(item); done {
			return problem
		}
	}
	span, stepText, stepped := strings.Cut(item, "/")
	from, to, ok := f.span(span, stepped)
	if !ok {
		return f.refuse(item)
	}
	step := 1
	if stepped {
		most := f.open - f.min + 1
		if step, ok = number(stepText); !ok || step < 1 || step > most {
			return fmt.Sprintf("has the step %q: it must be from 1 to %d", brief(stepText), most)
		}
	}
	if to < from {
		if f.cycle == 0 {
			return fmt.Sprintf("has the range %q, which ends before it begins", brief(span))
		}
		to += f.cycle
	}
	for value := from; value <= to; value += step {
		if value > f.max {
			f.add(value - f.cycle)
		} else {
			f.add(value)
		}
	}
	return ""
}

// span reads what stands before a step. Before one, nothing is everything and a value
// is where it begins.
func (f *field) span(text string, stepped bool) (from, to int, ok bool) {
	if text == "*" || text == "" && stepped {
		return f.min, f.open, true
	}
	left, right, isRange := strings.Cut(text, "-")
	from, ok = f.value(left)
	switch {
	case !ok:
		return 0, 0, false
	case isRange:
		to, ok = f.value(right)
		return from, to, ok
	case stepped:
		return from, max(from, f.open), true
	default:
		return from, from, true
	}
}

// value reads a number or a name.
func (f *field) value(text string) (value int, ok bool) {
	if at := slices.Index(f.names, text); at >= 0 {
		return f.min + at, true
	}
	value, ok = number(text)
	return value, ok && value >= f.min && value <= f.max
}

func (f *field) refuse(item string) string {
	return fmt.Sprintf("holds %q: allowed are %s, lists (a,b), ranges (a-b), steps (a/n) and *", brief(item), f.allowed)
}

// number reads digits alone, few enough for any field.
func number(text string) (n int, ok bool) {
	if text == "" || len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
