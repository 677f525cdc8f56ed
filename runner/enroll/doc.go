// Package enroll gives a runner its identity and keeps it: the first certificate for
// a one-use token, the files it lives in, and its renewal at half life.
//
// The only thing trusted at first contact is the pin inside the token: the SHA-256 of
// the public key of the hub's CA. Whatever the hub's address answers is checked
// against it before anything secret is sent.
//
// Files in DIR/identity (mode 0700; each file 0600):
//
//	pending.pem   the key of an enrolment that is not through yet
//	runner.pem    key and certificate, replaced as one
//	ca.pem        the CAs that members are verified against
//	sealing.key   the private key that secrets are sealed to
//	runner.json   ids, name, and where the hub is
package enroll
