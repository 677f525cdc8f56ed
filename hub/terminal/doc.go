// Package terminal shows what a program printed as a terminal would: colours, and lines
// that were written over by carriage returns. Whatever else a terminal would act on is
// left out, and characters that hide or turn text are told by their code, so that what
// it returns may be shown anywhere.
package terminal
