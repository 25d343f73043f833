// Package graph draws a module: what calls, starts, reads and writes what. The same module gives
// the same text.
package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/module"
)

// Node is one thing of a module. Shape is the kind of thing: api, component, stage, box, dataset,
// schedule.
type Node struct{ ID, Label, Shape, Group string }

// Edge leads from one node to another, and back as well when Both is set.
type Edge struct {
	From, To, Label string
	Both            bool
}

// Graph is a drawing, in the order of its ids.
type Graph struct {
	Nodes []Node
	Edges []Edge
}

// Of draws a module: its APIs, components, boxes, and its pipelines with their stages, joined by
// the variables that go from one to the next.
func Of(m *module.Module) Graph {
	g := &Graph{}
	for _, b := range m.Boxes {
		g.node("box/"+b.Name, b.Name, "box", "")
	}
	for _, d := range m.Datasets {
		g.node("dataset/"+d.Name, d.Name, "dataset", "")
		g.edge("box/"+d.Spec.Box, "dataset/"+d.Name, "/"+strings.Trim(d.Spec.Path, "/"))
	}
	for _, c := range m.Components {
		id := "component/" + c.Name
		g.node(id, c.Name, "component", "")
		if c.Model != nil {
			g.edge("box/"+c.Model.Box, id, "model "+c.Model.Path)
		}
		g.connect(id, c.Connections)
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

func (g *Graph) edge(from, to, label string) {
	g.Edges = append(g.Edges, Edge{From: from, To: to, Label: label})
}

// connect draws the boxes that something is connected to: those that it only reads lead to it, with
// the others it goes both ways.
func (g *Graph) connect(id string, all []module.Connection) {
	for _, c := range all {
		g.Edges = append(g.Edges, Edge{From: "box/" + c.Box, To: id, Label: c.Path, Both: !c.ReadOnly})
	}
}

func (g *Graph) pipeline(p module.Pipeline) {
	flow := pipeline.Of(pipeline.Pipeline{Name: p.Name, Spec: &p.Spec})
	stage := func(i int) string { return "stage/" + p.Name + "/" + flow.Stages[i].Name }
	for i, s := range flow.Stages {
		g.node(stage(i), s.Name, "stage", p.Name)
	}
	for _, v := range p.Spec.Variables {
		writer, written := flow.Writer(v.Name)
		for _, reader := range flow.Readers(v.Name) {
			if written {
				g.edge(stage(writer), stage(reader), v.Name)
			}
			if v.MountFrom != nil && !written {
				g.edge("box/"+v.MountFrom.Box, stage(reader), v.Name)
			}
		}
		if v.MountFrom != nil && written {
			g.edge(stage(writer), "box/"+v.MountFrom.Box, v.Name)
		}
	}
	for _, r := range p.Spec.OnUpload {
		for _, reader := range flow.Readers(r.Input) {
			g.edge("box/"+r.Box, stage(reader), "upload "+r.Prefix+"*"+r.Suffix)
		}
		for _, o := range r.Outputs {
			if writer, ok := flow.Writer(o.Variable); ok {
				g.edge(stage(writer), "box/"+o.Box, o.Variable)
			}
		}
	}
	g.connect("pipeline/"+p.Name, p.Connections)
	if p.Spec.Schedule != "" {
		g.node("schedule/"+p.Name, p.Schedule.Value, "schedule", "")
		g.edge("schedule/"+p.Name, "pipeline/"+p.Name, "run")
	}
	if last := len(flow.Stages) - 1; p.Spec.ContinueWith != "" && last >= 0 {
		g.edge(stage(last), "pipeline/"+p.Spec.ContinueWith, "then")
	}
}

func (g *Graph) api(a module.API, m *module.Module) {
	id, label := "api/"+a.Route.Name, a.Route.Name
	if a.Path.Value != "" {
		label = "/" + a.Route.Path
	}
	g.node(id, label, "api", "")
	switch a.Route.Kind {
	case routes.KindFiles:
		for _, b := range m.Boxes {
			g.edge(id, "box/"+b.Name, "files")
		}
	case routes.KindMLComponent:
		g.edge(id, "component/"+a.Route.Target, "predict")
	case routes.KindPipeline:
		g.edge(id, "pipeline/"+a.Route.Target, "run")
	case routes.KindPipelines:
		for _, p := range m.Pipelines {
			g.edge(id, "pipeline/"+p.Name, "runs")
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
		around := map[string][2]string{"box": {"[(", ")]"}, "api": {"([", "])"}, "component": {"[[", "]]"},
			"stage": {"[", "]"}, "schedule": {"{{", "}}"}, "dataset": {"[/", "/]"}}[n.Shape]
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
			arrow := "-->"
			if e.Both {
				arrow = "<-->"
			}
			fmt.Fprintf(&b, "  %s %s|%s| %s\n", from, arrow, quote(e.Label), to)
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
	shapes := map[string]string{"box": "cylinder", "api": "oval", "component": "component", "stage": "box",
		"schedule": "hexagon", "dataset": "parallelogram"}
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
		if from == "" || to == "" {
			continue
		}
		attributes := fmt.Sprintf("label=%q", e.Label)
		if e.Both {
			attributes += ", dir=both"
		}
		if strings.HasPrefix(to, "p") { // to a cluster leads an edge to one of its nodes, cut at its border
			attributes += ", lhead=cluster_" + to
			to = first[to]
		}
		fmt.Fprintf(&b, "  %s -> %s [%s];\n", from, to, attributes)
	}
	b.WriteString("}\n")
	return b.String()
}
