package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/fairlead/fairlead/hub"
)

// copyTable is a table as it is copied.
type copyTable struct {
	name    string
	columns []copyColumn
	// parents are the tables that it refers to: their rows come first.
	parents []string
	// rows in the file.
	rows int64
}

type copyColumn struct {
	name string
	kind copyKind
	// identity: the database gives its numbers.
	identity bool
}

func (t *copyTable) quoted() string { return quoted(t.name) }

// quoted writes a name of the schema for a statement of either database.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

func (t *copyTable) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// selects reads all rows, the columns in the same order on both sides.
func (t *copyTable) selects() string {
	return t.selecting(func(c copyColumn) string { return quoted(c.name) })
}

// selectsFile is selects for SQLite, whose driver gives an empty byte string as NULL: as
// an empty text it stays what it is.
func (t *copyTable) selectsFile() string {
	return t.selecting(func(c copyColumn) string {
		if c.kind == copyBytes {
			return `CASE length(` + quoted(c.name) + `) WHEN 0 THEN '' ELSE ` + quoted(c.name) + ` END`
		}
		return quoted(c.name)
	})
}

func (t *copyTable) selecting(expression func(copyColumn) string) string {
	list := make([]string, len(t.columns))
	for i, c := range t.columns {
		list[i] = expression(c)
	}
	return `SELECT ` + strings.Join(list, ", ") + ` FROM ` + t.quoted()
}

// planCopy finds what there is to copy from both schemas, parents first.
func planCopy(ctx context.Context, source *Store, tx pgx.Tx) ([]*copyTable, error) {
	tables, err := postgresTables(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("reading the schema to copy into: %w", err)
	}
	theirs, err := sqliteColumns(ctx, source)
	if err != nil {
		return nil, err
	}
	ours := map[string][]string{}
	for _, t := range tables {
		ours[t.name] = t.names()
	}
	if err := sameColumns(theirs, ours); err != nil {
		return nil, err
	}
	return parentsFirst(tables)
}

// postgresTables reads the tables, their columns and what they refer to.
func postgresTables(ctx context.Context, tx pgx.Tx) ([]*copyTable, error) {
	rows, err := tx.Query(ctx, `SELECT c.table_name, c.column_name, c.data_type, c.is_identity = 'YES'
		FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
		WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.table_name <> $1
		ORDER BY c.table_name, c.ordinal_position`, migrationTable)
	if err != nil {
		return nil, err
	}
	var tables []*copyTable
	byName := map[string]*copyTable{}
	var table, column, kind string
	var identity bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &kind, &identity}, func() error {
		t := byName[table]
		if t == nil {
			t = &copyTable{name: table}
			byName[table], tables = t, append(tables, t)
		}
		k, ok := copyKinds[kind]
		if !ok {
			return fmt.Errorf("column %s.%s is of the type %s, which cannot be copied", table, column, kind)
		}
		t.columns = append(t.columns, copyColumn{name: column, kind: k, identity: identity})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tables, addParents(ctx, tx, byName)
}

func addParents(ctx context.Context, tx pgx.Tx, tables map[string]*copyTable) error {
	rows, err := tx.Query(ctx, `SELECT child.relname, parent.relname FROM pg_constraint k
		JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
		WHERE k.contype = 'f' AND k.connamespace = CAST(current_schema() AS regnamespace)`)
	if err != nil {
		return err
	}
	var child, parent string
	_, err = pgx.ForEachRow(rows, []any{&child, &parent}, func() error {
		if t := tables[child]; t != nil && parent != child {
			t.parents = append(t.parents, parent)
		}
		return nil
	})
	return err
}

// sqliteColumns reads the tables of a file and their columns.
func sqliteColumns(ctx context.Context, s *Store) (map[string][]string, error) {
	type pair struct{ table, column string }
	list, err := collect(ctx, s, func(r scanner) (p pair, err error) { return p, r.Scan(&p.table, &p.column) },
		`SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~' AND m.name <> $1 ORDER BY m.name, c.cid`, migrationTable)
	if err != nil {
		return nil, fmt.Errorf("reading the schema of the file: %w", err)
	}
	tables := map[string][]string{}
	for _, p := range list {
		tables[p.table] = append(tables[p.table], p.column)
	}
	return tables, nil
}

// sameColumns refuses schemas of which one has what the other lacks: it would be lost.
func sameColumns(file, postgres map[string][]string) error {
	var wrong []string
	missing := func(in, from map[string][]string, where string) {
		for table, columns := range from {
			for _, c := range columns {
				if !slices.Contains(in[table], c) {
					wrong = append(wrong, table+"."+c+" is only in "+where)
				}
			}
		}
	}
	missing(postgres, file, "the file")
	missing(file, postgres, "PostgreSQL")
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return hub.Errorf(hub.CodeConflict, "The two schemas differ: %s. One of them was changed by hand; undo that, then copy.", strings.Join(wrong, ", "))
}

// parentsFirst orders tables so that each comes behind those that it refers to.
func parentsFirst(tables []*copyTable) ([]*copyTable, error) {
	var ordered []*copyTable
	done := map[string]bool{}
	for len(ordered) < len(tables) {
		before := len(ordered)
		for _, t := range tables {
			if !done[t.name] && !slices.ContainsFunc(t.parents, func(p string) bool { return !done[p] }) {
				ordered, done[t.name] = append(ordered, t), true
			}
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("the tables refer to one another in a circle; %d of %d can be ordered", before, len(tables))
		}
	}
	return ordered, nil
}
