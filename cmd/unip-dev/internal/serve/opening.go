package serve

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/routes"
)

// opening is what is told when the module is served.
type opening struct {
	Time    time.Time    `json:"time"`
	Kind    string       `json:"kind"` // serving
	URL     string       `json:"url"`
	APIs    []openingAPI `json:"apis"`
	Boxes   []openingBox `json:"boxes"`
	Storage string       `json:"storage"`
}

type openingAPI struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	URL   string   `json:"url"`
	Users []string `json:"users,omitempty"`
	// Who may call, in words.
	Who string `json:"who"`
}

type openingBox struct {
	Name    string `json:"name"`
	Folder  string `json:"folder"`
	Dataset bool   `json:"dataset,omitempty"`
}

// tellOpening tells where the module is, who may call, and what to try.
func (p *place) tellOpening(s *served, at net.Addr) {
	o := opening{Time: time.Now(), Kind: "serving", URL: "http://" + at.String() + "/" + s.module.Namespace,
		APIs: []openingAPI{}, Boxes: []openingBox{}, Storage: p.storage.Endpoint()}
	for _, r := range s.module.Routes() {
		a := openingAPI{Name: r.Name, Kind: r.Kind, URL: o.URL + "/" + r.Path}
		if r.Kind == routes.KindMLComponent {
			a.URL += "/predict"
		}
		a.Users, a.Who = s.who(r)
		o.APIs = append(o.APIs, a)
	}
	for _, b := range s.module.Boxes {
		o.Boxes = append(o.Boxes, openingBox{Name: b.Name, Folder: filepath.Join(p.shown, "boxes", b.Name),
			Dataset: b.Spec.DatasetReference != nil})
	}
	if p.out.json {
		b, err := json.Marshal(o)
		if err == nil { // texts always encode
			p.out.text(string(b) + "\n")
		}
		return
	}
	p.out.text(o.table(p.out.colour) + o.next(s, p.options.As) + "\n")
}

// who may call an API: the users, as far as they are known, and in words.
func (s *served) who(r routes.API) (users []string, words string) {
	var all []string
	switch {
	case r.Auth == nil:
		return nil, "everybody"
	case s.options.As != "":
		all = append(all, s.options.As+" without a password")
	}
	if b := r.Auth.Basic; b != nil {
		names, known := s.module.Users(b.Credentials)
		users = names
		switch {
		case !known:
			all = append(all, "nobody: the Secret "+b.Credentials+" is not in the manifests (--as USER)")
		case len(names) == 0:
			all = append(all, "nobody: the Secret "+b.Credentials+" is empty (--as USER)")
		default:
			all = append(all, strings.Join(names, ", ")+" (Secret "+b.Credentials+")")
		}
	}
	if r.Auth.OIDC != nil {
		all = append(all, "tokens of "+r.Auth.OIDC.Issuer)
	}
	return users, strings.Join(all, "; ")
}

// table shows the APIs and the boxes.
func (o opening) table(colour bool) string {
	var b strings.Builder
	head := "the module at " + o.URL
	if colour {
		head = "\x1b[1m" + head + plain
	}
	fmt.Fprintf(&b, "\n%s\n\n", head)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, a := range o.APIs {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", printable.Line(a.Name), printable.Line(a.URL), printable.Line(a.Who))
	}
	_ = w.Flush() // to memory
	if len(o.APIs) == 0 {
		b.WriteString("  no API of it is published: nothing can be called\n")
	}
	if len(o.Boxes) > 0 {
		b.WriteString("\n")
	}
	for _, x := range o.Boxes {
		what := "box"
		if x.Dataset {
			what = "dataset, here yours to fill"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", printable.Line(x.Name), printable.Line(x.Folder+"/"), what)
	}
	_ = w.Flush()
	return b.String()
}

// next is what to try.
func (o opening) next(s *served, as string) string {
	var lines []string
	for _, a := range o.APIs {
		user := as
		switch {
		case user != "" || a.Who == "everybody":
		case len(a.Users) > 0:
			user = a.Users[0]
		default:
			continue
		}
		export := "export UNIP_URL=" + o.URL
		if user != "" && as == "" {
			export += " UNIP_USER=" + user + " UNIP_PASSWORD=…"
		}
		lines = append(lines, export)
		break
	}
	if len(lines) == 0 {
		return ""
	}
	for _, r := range s.module.Routes() {
		switch r.Kind {
		case routes.KindMLComponent:
			lines = append(lines, "unip predict "+r.Path+" --input …")
		case routes.KindFiles:
			for _, p := range s.module.Pipelines {
				for _, u := range p.Spec.OnUpload {
					lines = append(lines, fmt.Sprintf("unip files put FILE%s %s/%sFILE%s   # starts %s", u.Suffix, u.Box,
						orGroup(u.Prefix), u.Suffix, p.Name))
				}
			}
		case routes.KindPipelines:
			lines = append(lines, "unip runs --follow")
		}
	}
	return "\ntry next:\n  " + printable.Text(strings.Join(lines, "\n  ")) + "\n"
}

// orGroup is the beginning of a path of the file API, in which files lie in a group.
func orGroup(prefix string) string {
	if strings.Contains(prefix, "/") {
		return prefix
	}
	return "group/" + prefix
}
