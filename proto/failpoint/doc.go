// Package failpoint lets tests break the real programs at named places.
//
// It does nothing unless built with the tag failpoints: then FAIRLEAD_FAILPOINT names
// a point at which the process ends itself as if by kill -9, and FAIRLEAD_MUTANT
// names one rule of the protocol that the process is to break. The fault tests must
// notice each mutant; that is how they prove that they test something.
package failpoint
