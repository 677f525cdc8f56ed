package wire

import "time"

// Sizes that both sides keep. What is larger is refused, never cut in silence.
const (
	// MaxMessageBytes bounds one gRPC message in either direction.
	MaxMessageBytes = 1 << 20
	// MaxInlineSpecBytes bounds a Spec inside its Offer; a larger one comes before it
	// in parts of at most this size.
	MaxInlineSpecBytes = 512 << 10
	// MaxSpecBytes bounds a Spec whole: 10,000 nodes with attributes, or one script of 10 MB.
	MaxSpecBytes = 64 << 20
	// MaxStepsRecords and MaxStepsBytes bound one Steps frame.
	MaxStepsRecords = 1000
	MaxStepsBytes   = 512 << 10
	// MaxResultTail bounds the records and chunks that travel inside a Result.
	MaxResultTail = 64 << 10
	// MaxSpecData bounds the values in a Spec that earlier attempts captured.
	MaxSpecData = 8 << 20
	// MaxRecordData bounds the captured values of one Ended record.
	MaxRecordData = 64 << 10
	// MaxChunkBytes bounds the frames of one chunk before compression.
	MaxChunkBytes = 256 << 10
	// MaxFrameData bounds the bytes of one output frame; a longer line is told in
	// pieces flagged partial.
	MaxFrameData = 32 << 10
	// PageHoldings is how many holdings one page of an inventory or a Welcome holds.
	PageHoldings = 1000
	// MaxHoldings bounds an inventory whole.
	MaxHoldings = 100_000
	// WindowAttempt and WindowSession bound what is sent and unacknowledged, compressed.
	WindowAttempt = 4 << 20
	WindowSession = 16 << 20
)

// Keepalive of every stream, both ways: a silent peer is given up after their sum,
// which with the reconnect keeps the 20 s promised for a silent loss.
const (
	KeepaliveInterval = 10 * time.Second
	KeepaliveTimeout  = 5 * time.Second
)

// RenewEvery is how often a runner renews its leases.
const RenewEvery = 5 * time.Second

// Certificates of runners and members live CertificateLife; they are valid from
// CertificateBackdate before their issue, for machines whose clocks are behind.
const (
	CertificateLife     = 30 * 24 * time.Hour
	CertificateBackdate = 24 * time.Hour
)
