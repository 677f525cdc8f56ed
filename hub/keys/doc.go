// Package keys keeps secrets: the master key of the installation, envelopes under
// it, the key storage of an organisation, and the gathering of what an attempt
// needs when it is granted.
//
// No plain secret is ever written by this package. A value is encrypted under a key
// of its own (AES-256-GCM), which is encrypted under a key derived from the master
// key for one purpose; where a blob belongs (organisation, path, revision) is bound
// into it, so that a row moved elsewhere does not open.
package keys
