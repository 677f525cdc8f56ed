// Package command turns what an author wrote into what a node is asked to run: it
// puts option, node and job values into command lines, scripts and arguments.
//
// A value never becomes shell. In a command line each reference is quoted by where it
// stands in the author's text, which is decided before any value is looked at:
// deciding afterwards lets a value that holds a quote choose for itself. Where no
// quoting is safe (a here-document, backquotes, arithmetic) the reference is refused
// with a way out, never passed through.
//
// A value that the author hands to a second shell (sh -c "echo ${option.x}", eval,
// ssh) is read again there as that author asked for; "$RD_OPTION_X" is the safe way.
package command
