package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/module"
)

// answers is the URL at which the module answers, UNIP_URL of the other commands: at the one host of
// all modules where there is one, else at its own. It is "" for a module without APIs, and as long as
// Knative has not given one.
func (t *target) answers(ctx context.Context) (string, error) {
	i := slices.IndexFunc(t.objects, func(o *cluster.Object) bool {
		return o.GetName() == names.Gateway && o.GetNamespace() == t.namespace && o.GetKind() == "Service" &&
			o.GroupVersionKind().Group == "serving.knative.dev"
	})
	if i < 0 {
		return "", nil
	}
	if t.host != "" {
		return url.JoinPath(t.host, t.namespace)
	}
	address, err := t.Address(ctx, t.objects[i])
	if err != nil || address == "" {
		return "", err
	}
	return url.JoinPath(address, t.namespace)
}

// unknownNames are the ends of names that no DNS outside of a cluster knows: those of RFC 6761 and
// RFC 6762, Knative's own example, and Services.
var unknownNames = []string{"example.com", "example", "invalid", "localhost", "test", "local"}

// inDNS reports that a name may be known outside of the cluster.
func inDNS(host string) bool {
	return !slices.ContainsFunc(unknownNames, func(end string) bool {
		return host == end || strings.HasSuffix(host, "."+end)
	})
}

// showAnswers says where the module answers, and what its author may try there.
func showAnswers(w io.Writer, m *module.Module, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("the gateway's URL: %w", err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe module answers at %s\n", address)
	if inDNS(u.Hostname()) {
		fmt.Fprintf(&b, "  export UNIP_URL=%s\n", address)
	} else {
		fmt.Fprintf(&b, "  export UNIP_URL=%s://INGRESS%s UNIP_HOST=%s   # INGRESS: the address of the cluster's ingress, "+
			"for DNS does not know the name\n", u.Scheme, u.Path, u.Hostname())
	}
	for _, line := range append(logins(m), trials(m)...) {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	_, err = io.WriteString(w, printable.Text(b.String()))
	return err
}

// logins are the ways to log in that the APIs have, a line each.
func logins(m *module.Module) (lines []string) {
	var basic, token bool
	for _, r := range m.Routes() {
		if r.Auth == nil {
			continue
		}
		if r.Auth.Basic != nil && !basic {
			basic = true
			lines = append(lines, "export UNIP_USER="+userOf(m, r.Auth.Basic.Credentials)+" UNIP_PASSWORD=…")
		}
		if r.Auth.OIDC != nil && !token {
			token = true
			lines = append(lines, "export UNIP_TOKEN=…   # of "+r.Auth.OIDC.Issuer)
		}
	}
	return lines
}

// userOf is a user whom the manifests name.
func userOf(m *module.Module, secret string) string {
	first := ""
	for _, s := range m.Secrets {
		for user := range s.Data {
			if s.Name == secret && !users.IsHtpasswd(user) && (first == "" || user < first) {
				first = user
			}
		}
	}
	return cmp.Or(first, "USER")
}

// trials are calls of the module's APIs, a line each.
func trials(m *module.Module) (lines []string) {
	box := "BOX"
	for _, b := range m.Boxes {
		if b.Spec.DatasetReference == nil {
			box = b.Name
			break
		}
	}
	for _, r := range m.Routes() {
		switch r.Kind {
		case routes.KindMLComponent:
			lines = append(lines, "unip predict "+r.Path+" --input NAME=VALUE --wait")
		case routes.KindFiles:
			lines = append(lines, "unip files put FILE "+box+"/GROUP/")
		case routes.KindPipelines:
			lines = append(lines, "unip runs")
		case routes.KindPipeline:
			line := "unip run " + r.Path
			for _, v := range r.Spec.Inputs {
				if v.Required {
					line += " --input " + v.Name + "=" + box + "/GROUP/FILE"
				}
			}
			lines = append(lines, line+" --wait")
		}
	}
	return lines
}
