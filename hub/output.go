package hub

// Chunk is a numbered, compressed piece of an attempt's output, cut once.
type Chunk struct {
	RunnerID string
	Fence    Fence
	Seq      int64
	// FirstLine is the number of its first frame within the attempt, from 0.
	FirstLine int64
	Lines     int
	// Bytes before compression.
	Bytes int
	Hash  [32]byte
	// Data is zstd over wire frames.
	Data []byte
	// Nodes that speak in it, positions in the attempt's spec.
	Nodes []int
}

// ChunkAck answers chunks: NextSeq is the first one the hub lacks. A Nack that is
// Lasting means that sending again will not help.
type ChunkAck struct {
	Fence    Fence
	NextSeq  int64
	Followed bool
	Nack     bool
	Lasting  bool
	Message  string
}
