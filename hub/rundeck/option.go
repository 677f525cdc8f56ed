package rundeck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead/fairlead/hub"
)

// optionKeys are the keys of an option.
func optionKeys() keys {
	return supported(
		"name", "label", "description", "value", "required", "enforced", "regex",
		"values", "valuesListDelimiter", "sortValues", "sortIndex",
		"multivalued", "delimiter", "secure", "valueExposed", "storagePath", "hidden",
	).with(keys{
		"type":                    {unsupported: true, asIs: []string{"text"}},
		"config":                  {unsupported: true},
		"isDate":                  {unsupported: true, asIs: []string{"false"}},
		"dateFormat":              {unsupported: true},
		"valuesUrl":               {unsupported: true},
		"optionValuesPluginType":  {unsupported: true},
		"configRemoteUrl":         {unsupported: true},
		"multivalueAllSelected":   {unsupported: true, asIs: []string{"false"}},
		"multivaluedAllSelected":  {unsupported: true, asIs: []string{"false"}},
		"realValuesUrl":           {unsupported: true},
		"remoteUrlAuthentication": {unsupported: true},
	})
}

// readOptions reads a list of options, or a map of them by name.
func readOptions(f fields) []hub.Option {
	const name = "options"
	v := f.v.get(name)
	if v == nil {
		return nil
	}
	switch {
	case v.shape == list:
		return listOptions(f, v)
	case v.shape == object:
		return mapOptions(f, v)
	case v.empty():
		return nil
	default:
		f.wrong(name, "must be a list of options, or a map of them by name, not %s", v.shape)
		return nil
	}
}

func listOptions(f fields, v *value) []hub.Option {
	var entries []optionEntry
	for i, item := range v.items {
		path := fmt.Sprintf("options[%d]", i)
		if item.shape != object {
			f.errorf(path, "must be a map, not %s%s", item.shape, at(item.line))
			continue
		}
		inner, _ := f.open(item, path, optionKeys())
		entries = append(entries, readOption(inner, ""))
	}
	return sortOptions(f, entries)
}

func mapOptions(f fields, v *value) []hub.Option {
	var entries []optionEntry
	for _, m := range v.members {
		inner, ok := f.open(m.value, join("options", m.key), optionKeys())
		if ok {
			entries = append(entries, readOption(inner, m.key))
		}
	}
	return sortOptions(f, entries)
}

// optionEntry is an option with where it stands and shall stand.
type optionEntry struct {
	hub.Option
	path  string
	index int
}

// sortOptions applies sortIndex and refuses names that stand twice.
func sortOptions(f fields, entries []optionEntry) []hub.Option {
	slices.SortStableFunc(entries, func(a, b optionEntry) int { return a.index - b.index })
	var options []hub.Option
	for _, e := range entries {
		if slices.ContainsFunc(options, func(o hub.Option) bool { return o.Name != "" && o.Name == e.Name }) {
			f.errorf(join(e.path, "name"), "the option %q is there twice", brief(e.Name))
		}
		options = append(options, e.Option)
	}
	return options
}

func readOption(f fields, nameOfMap string) optionEntry {
	o := hub.Option{
		Name:         f.line("name"),
		Label:        f.line("label"),
		Description:  f.text("description"),
		Value:        f.text("value"),
		Required:     f.boolean("required", false),
		Enforced:     f.boolean("enforced", false),
		Regex:        f.text("regex"),
		Secure:       f.boolean("secure", false),
		ValueExposed: f.boolean("valueExposed", false),
		StoragePath:  f.line("storagePath"),
		Multivalued:  f.boolean("multivalued", false),
		Delimiter:    f.text("delimiter"),
		Hidden:       f.boolean("hidden", false),
	}
	separator := f.text("valuesListDelimiter")
	if separator == "" {
		separator = ","
	}
	o.Values = f.texts("values", separator)
	if f.boolean("sortValues", false) {
		slices.Sort(o.Values)
	}
	switch {
	case o.Name == "":
		o.Name = nameOfMap
	case nameOfMap != "" && nameOfMap != o.Name:
		f.wrong("name", "differs from the key %q that it stands under", brief(nameOfMap))
	}
	checkOption(f, &o)
	return optionEntry{Option: o, path: f.path, index: f.integer("sortIndex", -1<<30, 1<<30)}
}

func checkOption(f fields, o *hub.Option) {
	checkOptionName(f, o.Name)
	if o.Regex != "" {
		if _, err := o.Pattern(); err != nil {
			f.wrong("regex", "%s", err.Error())
		}
	}
	if o.Enforced && len(o.Values) == 0 {
		f.wrong("enforced", "needs values to choose from: add values, or use regex")
	} else if o.Value != "" && !o.Secure {
		if message := o.Check(o.Value); message != "" {
			f.wrong("value", "cannot be the default: %s", message)
		}
	}
	if o.Delimiter != "" && !o.Multivalued {
		f.warnf(join(f.path, "delimiter"), "has no effect without multivalued: true")
		o.Delimiter = ""
	}
	if !o.Secure {
		if o.StoragePath != "" {
			f.wrong("storagePath", "needs secure: true")
		}
		if o.ValueExposed {
			f.warnf(join(f.path, "valueExposed"), "has no effect without secure: true")
			o.ValueExposed = false
		}
		return
	}
	checkSecureOption(f, o)
}

func checkSecureOption(f fields, o *hub.Option) {
	if o.Value != "" {
		f.wrong("value", "a secure option cannot have its value in the file: store it as a key and name that with storagePath")
		o.Value = ""
	}
	if o.Multivalued {
		f.wrong("multivalued", "a secure option has one value")
	}
	switch {
	case strings.Contains(o.StoragePath, "${"):
		f.wrong("storagePath", "references in a storage path are not supported yet: write the path out")
	case o.StoragePath != "":
		// No key can have it: the job would be taken, and fail in every run.
		if err := hub.CheckKeyPath(o.StoragePath); err != nil {
			f.wrong("storagePath", "%s", hub.ErrorMessage(err))
		}
	}
}

func checkOptionName(f fields, name string) {
	if name == "" {
		f.errorf(join(f.path, "name"), "is required%s", at(f.v.line))
		return
	}
	if strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	}) {
		f.errorf(join(f.path, "name"), "%q may hold letters, digits, \".\", \"_\" and \"-\" only", brief(name))
	}
}
