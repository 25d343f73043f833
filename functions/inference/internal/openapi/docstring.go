// Package openapi makes the OpenAPI document of a component from the docstring of its inference function, in the form that the platform prescribes:
//
//	:param inputs.NAME: DESCRIPTION
//	:type inputs.NAME: TYPE1 or TYPE2[, optional]
//
// and the same with outputs.
package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Variable is one input or output as the docstring describes it.
type Variable struct {
	Name, Description string
	Types             []string
	Optional          bool
}

// Description is what a docstring says.
type Description struct {
	Summary string
	Inputs  []Variable
	Outputs []Variable
}

// Types that may stand in a docstring: the platform's, and the numeric ones of the Open Inference Protocol.
var Types = []string{
	"FP32", "FP64", "INT32", "str", "dict", "FILE",
	"BOOL", "BYTES", "FP16", "BF16", "INT8", "INT16", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
}

var field = regexp.MustCompile(`^:(param|type) (inputs|outputs)\.([^:\s]+):\s*(.*)$`)

// Parse reads a docstring. Lines of another form are the summary (before the first field) or go on with the field before them. Errors name the line of the docstring, counted from 1; what can be read is
// returned all the same.
func Parse(doc string) (Description, []error) {
	var d Description
	var errs []error
	var summary []string
	var goesOn *string
	inFields := false
	for i, line := range strings.Split(doc, "\n") {
		line = strings.TrimSpace(line)
		m := field.FindStringSubmatch(line)
		switch {
		case m != nil:
			inFields = true
			v := d.variable(m[2], m[3])
			if m[1] == "param" {
				if v.Description != "" {
					errs = append(errs, fmt.Errorf("line %d: %s.%s is described twice", i+1, m[2], m[3]))
				}
				v.Description, goesOn = m[4], &v.Description
				continue
			}
			goesOn = nil
			if err := v.setTypes(m[4]); err != nil {
				errs = append(errs, fmt.Errorf("line %d: %s.%s: %w", i+1, m[2], m[3], err))
			}
		case strings.HasPrefix(line, ":"):
			inFields, goesOn = true, nil
			if strings.HasPrefix(line, ":param inputs") || strings.HasPrefix(line, ":type inputs") ||
				strings.HasPrefix(line, ":param outputs") || strings.HasPrefix(line, ":type outputs") {
				errs = append(errs, fmt.Errorf("line %d: %q is not of the form \":param inputs.NAME: DESCRIPTION\" or \":type inputs.NAME: TYPE\"", i+1, line))
			}
		case line == "":
			goesOn = nil
			if !inFields {
				summary = append(summary, line)
			}
		case goesOn != nil:
			*goesOn += " " + line
		case !inFields:
			summary = append(summary, line)
		}
	}
	d.Summary = strings.TrimSpace(strings.Join(summary, "\n"))
	return d, errs
}

func (d *Description) variable(side, name string) *Variable {
	list := &d.Inputs
	if side == "outputs" {
		list = &d.Outputs
	}
	i := slices.IndexFunc(*list, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		*list = append(*list, Variable{Name: name})
		i = len(*list) - 1
	}
	return &(*list)[i]
}

func (v *Variable) setTypes(s string) error {
	if len(v.Types) > 0 {
		return fmt.Errorf("its type is said twice")
	}
	names, rest, comma := strings.Cut(s, ",")
	if comma {
		if strings.TrimSpace(rest) != "optional" {
			return fmt.Errorf("after the comma only \"optional\" may stand, not %q", strings.TrimSpace(rest))
		}
		v.Optional = true
	}
	for _, t := range strings.Split(names, " or ") {
		t = strings.TrimSpace(t)
		if !slices.Contains(Types, t) {
			return fmt.Errorf("unknown type %q; known are %s", t, strings.Join(Types, ", "))
		}
		v.Types = append(v.Types, t)
	}
	return nil
}
