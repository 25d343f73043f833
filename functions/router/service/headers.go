package service

import (
	"net/http"
	"regexp"
	"strings"
)

var (
	// dropped from calls: what only the network, or unip itself, may say.
	dropped         = []string{"Forwarded", "X-Real-Ip"}
	droppedPrefixes = []string{"X-Forwarded-", "X-Envoy-", "Unip-", "Knative-", "K-"}
	// Taken out of answers, for they would hold for the whole site: for other modules as well.
	ofTheSite = []string{"Set-Cookie", "Set-Cookie2", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc",
		"Service-Worker-Allowed"}
	ofTheSitePrefixes = []string{"X-Accel-"} // what nginx does as it is told
)

func drop(h http.Header, names, prefixes []string) {
	for _, k := range names {
		h.Del(k)
	}
	for k := range h {
		for _, p := range prefixes {
			if strings.HasPrefix(k, p) {
				delete(h, k)
			}
		}
	}
}

// challenge is what a gateway asks for logins with. A browser sends a login that it has for one realm
// of a site wherever the site asks for that realm, so a module asks for its own only.
var challenge = regexp.MustCompile(`^(?:Basic|Bearer) realm="([a-z0-9-]+)"(?:, [a-z_]+="[^"\\]*")*$`)

// confine makes an answer one of its module: see the package.
func confine(h http.Header, namespace string) {
	drop(h, ofTheSite, ofTheSitePrefixes)
	h.Add("Content-Security-Policy", "sandbox")
	asked := h["Www-Authenticate"]
	kept := asked[:0]
	for _, c := range asked {
		if m := challenge.FindStringSubmatch(c); m != nil && m[1] == namespace {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		delete(h, "Www-Authenticate")
	} else {
		h["Www-Authenticate"] = kept
	}
}
