package rundeck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/hub"
	"github.com/fairlead/fairlead/hub/nodefilter"
)

func nodefilterKeys() keys {
	return supported("filter", "filterExclude", "dispatch", "include", "exclude")
}

func dispatchKeys() keys {
	return supported("threadcount", "keepgoing", "excludePrecedence", "successOnEmptyNodeFilter", "rankAttribute", "rankOrder").
		with(keys{"nodeIntersect": {unsupported: true, asIs: []string{"false"}}})
}

// oldFilterKeys are those of the include and exclude maps of old files.
func oldFilterKeys() keys {
	return supported("name", "hostname", "tags", "os-name", "os-family", "os-arch", "os-version")
}

// readDispatch reads the node filters. A job without any, or with blank ones, runs on
// the runner's own host.
func readDispatch(f fields) hub.Dispatch {
	const name = "nodefilters"
	d := hub.Dispatch{ExcludePrecedence: true, Editable: f.boolean("nodeFilterEditable", false)}
	if f.v.get(name) == nil {
		return d
	}
	nf, ok := f.open(f.v.get(name), name, nodefilterKeys())
	if !ok {
		return d
	}
	d.Filter = strings.TrimSpace(nf.text("filter"))
	d.FilterExclude = strings.TrimSpace(nf.text("filterExclude"))
	if nf.has("include") || nf.has("exclude") {
		if d.Filter != "" || d.FilterExclude != "" {
			nf.wrong("filter", "stands beside include or exclude: say everything in filter")
		} else {
			d.Filter = oldFilter(nf)
		}
	}
	checkFilter(nf, "filter", d.Filter)
	checkFilter(nf, "filterExclude", d.FilterExclude)
	d.Nodes = d.Filter != "" || d.FilterExclude != ""
	readDispatchSettings(nf, &d)
	return d
}

func readDispatchSettings(nf fields, d *hub.Dispatch) {
	f, ok := nf.open(nf.v.get("dispatch"), "nodefilters.dispatch", dispatchKeys())
	if !ok {
		return
	}
	d.Keepgoing = f.boolean("keepgoing", false)
	d.ExcludePrecedence = f.boolean("excludePrecedence", true)
	d.SuccessOnEmpty = f.boolean("successOnEmptyNodeFilter", false)
	d.RankAttribute = f.line("rankAttribute")
	d.RankDescending = f.oneOf("rankOrder", "ascending", "descending") == "descending"
	d.Threadcount = f.line("threadcount")
	if strings.Contains(d.Threadcount, "${option.") || d.Threadcount == "" {
		return
	}
	n, err := d.Threads(nil)
	if err != nil {
		f.wrong("threadcount", "must be a whole number from 1, or ${option.NAME}, not %q", brief(d.Threadcount))
		return
	}
	d.Threadcount = strconv.Itoa(n)
	if n == 1 {
		d.Threadcount = "" // what a job without the key has, so that both are equal
	}
}

// checkFilter parses a filter whose options are not known yet.
func checkFilter(f fields, name, text string) {
	if strings.Contains(text, "${option.") {
		return
	}
	if _, err := nodefilter.Parse(text); err != nil {
		f.wrong(name, "%s", hub.ErrorMessage(err))
	}
}

// oldFilter writes include and exclude maps as a filter.
func oldFilter(nf fields) string {
	var parts []string
	for _, half := range []struct{ name, sign string }{{"include", ""}, {"exclude", "!"}} {
		f, ok := nf.open(nf.v.get(half.name), "nodefilters."+half.name, oldFilterKeys())
		if !ok {
			continue
		}
		for _, m := range f.v.members {
			if value := strings.TrimSpace(f.text(m.key)); value != "" {
				parts = append(parts, fmt.Sprintf("%s%s: %s", half.sign, m.key, quoteFilter(value)))
			}
		}
	}
	return strings.Join(parts, " ")
}

// quoteFilter writes a value of a filter so that it stays one word.
func quoteFilter(value string) string {
	if !strings.ContainsAny(value, " \t\r\n\f\v\"'") {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// sortedSet sorts texts and drops repetitions.
func sortedSet(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
