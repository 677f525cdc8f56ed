package hub

// Node is a machine that steps run on.
type Node struct {
	// Name is unique in the project.
	Name string
	// Hostname may carry a port ("db1.example:2222").
	Hostname    string
	Username    string
	Description string
	Tags        []string
	// Attributes hold everything else, under the names they came with ("osFamily",
	// "ssh-key-storage-path", "node-executor").
	Attributes map[string]string
}
