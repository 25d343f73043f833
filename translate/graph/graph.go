// Package graph draws a module: what calls, starts, reads and writes what. The same module gives the same text.
package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
)

// Node is one thing of a module. Shape is the kind of thing: api, component, stage, box, schedule.
type Node struct{ ID, Label, Shape, Group string }

// Edge leads from one node to another.
type Edge struct{ From, To, Label string }

// Graph is a drawing, in the order of its ids.
type Graph struct {
	Nodes []Node
	Edges []Edge
}

// Of draws a module: its APIs, components, boxes, and its pipelines with their stages, joined by the variables that go from one to the next.
func Of(m *manifest.Module) Graph {
	g := &Graph{}
	for _, b := range m.Boxes {
		g.node("box/"+b.Meta.Name.Value, b.Meta.Name.Value, "box", "")
	}
	for _, x := range m.Components {
		id := "component/" + x.Meta.Name.Value
		g.node(id, x.Meta.Name.Value, "component", "")
		if s := x.Spec.MLService; s != nil && s.ModelBox.Value != "" {
			g.edge("box/"+s.ModelBox.Value, id, "model "+s.ModelPath.Value)
		}
	}
	for _, p := range m.Pipelines {
		g.pipeline(p)
	}
	for _, a := range m.APIs {
		g.api(a, m)
	}
	slices.SortFunc(g.Nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(g.Edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Label, b.Label))
	})
	g.Nodes, g.Edges = slices.Compact(g.Nodes), slices.Compact(g.Edges)
	return *g
}

func (g *Graph) node(id, label, shape, group string) {
	g.Nodes = append(g.Nodes, Node{id, label, shape, group})
}
func (g *Graph) edge(from, to, label string) { g.Edges = append(g.Edges, Edge{from, to, label}) }

func (g *Graph) pipeline(p *manifest.ExperimentPipeline) {
	name := p.Meta.Name.Value
	stage := func(s manifest.Stage) string { return "stage/" + name + "/" + s.Name.Value }
	writers, readers := map[string]string{}, map[string][]string{}
	for _, s := range p.Spec.Stages {
		g.node(stage(s), s.Name.Value, "stage", name)
		for _, v := range s.Outputs {
			writers[v.Name.Value] = stage(s)
		}
		for _, v := range s.Inputs {
			readers[v.Name.Value] = append(readers[v.Name.Value], stage(s))
		}
	}
	for v, all := range readers {
		for _, reader := range all {
			if from, ok := writers[v]; ok {
				g.edge(from, reader, v)
			}
		}
	}
	for _, v := range p.Spec.Vars {
		if v.MountFrom == nil {
			continue
		}
		box := cmp.Or(v.MountFrom.Box.Value, v.MountFrom.Name.Value)
		for _, reader := range readers[v.Name.Value] {
			g.edge("box/"+box, reader, v.Name.Value)
		}
	}
	for _, r := range p.Uploads {
		for _, reader := range readers[r.Input.Value] {
			g.edge("box/"+r.Box.Value, reader, "upload "+r.Prefix.Value+"*"+r.Suffix.Value)
		}
		for v, place := range r.Outputs {
			if from, ok := writers[v]; ok {
				box, _, _ := strings.Cut(strings.Replace(place.Value, ":", "", 1), "/")
				g.edge(from, "box/"+box, v)
			}
		}
	}
	if line, ok := p.Meta.Annotations[manifest.Schedule.Name]; ok {
		g.node("schedule/"+name, line.Value, "schedule", "")
		g.edge("schedule/"+name, "pipeline/"+name, "run")
	}
	if next := p.Spec.ContinueWith.Pipeline().Value; next != "" && len(p.Spec.Stages) > 0 {
		g.edge(stage(p.Spec.Stages[len(p.Spec.Stages)-1]), "pipeline/"+next, "then")
	}
}

func (g *Graph) api(a *manifest.APIComponent, m *manifest.Module) {
	id := "api/" + a.Meta.Name.Value
	path := a.Spec.RestfulAPI
	label := a.Meta.Name.Value
	if path != nil && path.Path.Value != "" {
		label = "/" + strings.Trim(path.Path.Value, "/")
	}
	g.node(id, label, "api", "")
	switch s := a.Spec; {
	case s.Files != nil:
		for _, b := range m.Boxes {
			g.edge(id, "box/"+b.Meta.Name.Value, "files")
		}
	case s.MLComponent != nil:
		g.edge(id, "component/"+s.MLComponent.Name.Value, "predict")
	case s.ExperimentPipeline != nil:
		g.edge(id, "pipeline/"+s.ExperimentPipeline.Name.Value, "run")
	case s.Pipelines != nil:
		for _, p := range m.Pipelines {
			g.edge(id, "pipeline/"+p.Meta.Name.Value, "runs")
		}
	}
}

// groups are the pipelines, in their order; an edge may lead to one.
func (g Graph) groups() []string {
	var all []string
	for _, n := range g.Nodes {
		if n.Group != "" && !slices.Contains(all, n.Group) {
			all = append(all, n.Group)
		}
	}
	return all
}

// key is an id that both languages take, in the order of the nodes.
func (g Graph) key(id string) string {
	if group, ok := strings.CutPrefix(id, "pipeline/"); ok {
		if i := slices.Index(g.groups(), group); i >= 0 {
			return fmt.Sprintf("p%d", i)
		}
	}
	if i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.ID == id }); i >= 0 {
		return fmt.Sprintf("n%d", i)
	}
	return ""
}

// Mermaid writes the graph in Mermaid's flowchart language, which GitHub and GitLab show.
func (g Graph) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	node := func(indent string, n Node) {
		around := map[string][2]string{"box": {"[(", ")]"}, "api": {"([", "])"}, "component": {"[[", "]]"}, "stage": {"[", "]"}, "schedule": {"{{", "}}"}}[n.Shape]
		fmt.Fprintf(&b, "%s%s%s%s%s\n", indent, g.key(n.ID), around[0], quote(n.Label), around[1])
	}
	for _, n := range g.Nodes {
		if n.Group == "" {
			node("  ", n)
		}
	}
	for _, group := range g.groups() {
		fmt.Fprintf(&b, "  subgraph %s[%s]\n", g.key("pipeline/"+group), quote(group))
		for _, n := range g.Nodes {
			if n.Group == group {
				node("    ", n)
			}
		}
		b.WriteString("  end\n")
	}
	for _, e := range g.Edges {
		if from, to := g.key(e.From), g.key(e.To); from != "" && to != "" {
			fmt.Fprintf(&b, "  %s -->|%s| %s\n", from, quote(e.Label), to)
		}
	}
	return b.String()
}

// quote writes a label for Mermaid.
func quote(s string) string {
	return `"` + strings.NewReplacer(`"`, "#quot;", "\n", " ").Replace(s) + `"`
}

// DOT writes the graph in Graphviz' language.
func (g Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph module {\n  rankdir=LR; compound=true;\n")
	shapes := map[string]string{"box": "cylinder", "api": "oval", "component": "component", "stage": "box", "schedule": "hexagon"}
	first := map[string]string{}
	for _, group := range append([]string{""}, g.groups()...) {
		if group != "" {
			fmt.Fprintf(&b, "  subgraph cluster_%s {\n    label=%q;\n", g.key("pipeline/"+group), group)
		}
		for _, n := range g.Nodes {
			if n.Group == group {
				fmt.Fprintf(&b, "  %s [label=%q, shape=%s];\n", g.key(n.ID), n.Label, shapes[n.Shape])
				first[g.key("pipeline/"+group)] = cmp.Or(first[g.key("pipeline/"+group)], g.key(n.ID))
			}
		}
		if group != "" {
			b.WriteString("  }\n")
		}
	}
	for _, e := range g.Edges {
		from, to := g.key(e.From), g.key(e.To)
		switch {
		case from == "" || to == "":
		case strings.HasPrefix(to, "p"): // to a cluster leads an edge to one of its nodes, cut at its border
			fmt.Fprintf(&b, "  %s -> %s [label=%q, lhead=cluster_%s];\n", from, first[to], e.Label, to)
		default:
			fmt.Fprintf(&b, "  %s -> %s [label=%q];\n", from, to, e.Label)
		}
	}
	b.WriteString("}\n")
	return b.String()
}
