package hub

// DefaultOrganisationID is the one organisation of an installation for a single
// company, made with the schema; people there never see the word.
const DefaultOrganisationID = "00000000-0000-7000-8000-000000000001"

// Organisation is the boundary of users, projects, runners, keys and quotas. Every
// query is bounded by one.
type Organisation struct {
	ID   string
	Name string
}
