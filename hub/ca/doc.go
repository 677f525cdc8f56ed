// Package ca is the installation's certificate authority: it makes the CA at first
// start, certifies members, runners and the HTTPS listener, takes enrolments, and says
// whose certificate a peer presents and whether it still counts.
//
// The CA's key lies in the database under the master key, which every member has, so
// any member certifies. Of a certificate exactly one URI counts (wire.Identity); of a
// certificate request nothing but its public key.
package ca
