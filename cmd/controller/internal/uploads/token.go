package uploads

import (
	"crypto/subtle"
	"net/http"
	"strings"
)

// pathOf is the dialect that a path names, /v1/<dialect> or /v1/<dialect>/<token>, and the token. Of any
// other path it is what no dialect is called.
func pathOf(path string) (dialect, token string) {
	rest, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return "", ""
	}
	dialect, token, _ = strings.Cut(rest, "/")
	return dialect, token
}

// authorized reports whether a request shows the token: as a Bearer, as the password of HTTP Basic, or
// as the end of its path, for servers that send no header. No server sends it in two ways; each is
// compared with all of the token.
func (r *Receiver) authorized(req *http.Request, inPath string) bool {
	want := r.Token()
	if want == "" {
		return false
	}
	given := []string{inPath}
	if bearer, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
		given = append(given, bearer)
	}
	if _, password, ok := req.BasicAuth(); ok {
		given = append(given, password)
	}
	shown := 0
	for _, given := range given {
		shown |= subtle.ConstantTimeCompare([]byte(given), []byte(want))
	}
	return shown == 1
}
