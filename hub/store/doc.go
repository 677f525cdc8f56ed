// Package store holds all SQL of the hub: one text for PostgreSQL and SQLite, one
// file per noun.
//
// A transaction is
//
//	err := st.InTx(ctx, func(st *store.Store) error { ... })
//
// and every method works inside one and outside of it. What two transactions could
// fight over is decided by a guard in the outer WHERE (compare-and-set): a count of
// zero rows is a lost race and comes back as a value or a hub.Error, never as a
// surprise.
//
// Transactions of PostgreSQL run at READ COMMITTED: a row that was read may have
// changed by the time of the write, unless it was locked. On SQLite they run one
// after another.
//
// Rules for the SQL: parameters are $N; times are BIGINT microseconds since 1970 in
// database time and come in as parameters (0: not yet); ids are text made by NewID;
// JSON is text that SQL never looks into; every query names its columns and is
// bounded by an organisation, a project or an id that is unique. What differs
// between the two databases is in dialect and nowhere else.
package store
