// Package session keeps a runner connected: it dials, opens the control stream and,
// when there is output, the output stream, and hands frames to and fro. Any error ends
// the session whole; then it dials again, with full jitter. What the frames mean is
// the business of package runner.
package session
