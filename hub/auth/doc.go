// Package auth says who a request comes from: passwords, sessions of browsers, API
// tokens, one-use sign-in links, and the first administrator.
//
// Only hashes are stored. Secrets made here have 256 bits, so a plain SHA-256 of them
// is enough; passwords, which people choose, go through argon2id.
package auth
