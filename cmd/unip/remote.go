package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/module"
)

// remote is how a module's HTTP API is reached. All of it may stand in the environment, so that a password is in no process list.
type remote struct {
	url, user, host, output string
	passwordFile            string
}

func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", os.Getenv("UNIP_URL"), "the module, https://<host>/<namespace> (default: UNIP_URL)")
	f.StringVar(&r.user, "user", os.Getenv("UNIP_USER"), "user name (default: UNIP_USER); the password is UNIP_PASSWORD, or in --password-file")
	f.StringVar(&r.passwordFile, "password-file", "", "file with the password")
	f.StringVar(&r.host, "host", os.Getenv("UNIP_HOST"), "HTTP Host header, for a cluster whose names are not in DNS (default: UNIP_HOST)")
	f.StringVarP(&r.output, "output", "o", "", "json gives the answer as data")
	complete(c, "output", "json")
}

// client is the module's client.
func (r *remote) client() (*module.Client, error) {
	if r.output != "" && r.output != "json" {
		return nil, &usageError{fmt.Errorf("-o %s: there is only json", r.output)}
	}
	u, err := url.Parse(r.url)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, &usageError{errors.New("--url or UNIP_URL must name the module: https://<host>/<namespace>")}
	}
	password := os.Getenv("UNIP_PASSWORD")
	if r.passwordFile != "" {
		b, err := os.ReadFile(r.passwordFile)
		if err != nil {
			return nil, &inputError{err.Error()}
		}
		password = strings.TrimRight(string(b), "\r\n")
	}
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("net/http has another transport")
	}
	t = t.Clone()
	t.ResponseHeaderTimeout = 10 * time.Minute // a gateway that wakes up, a storage that takes a large file
	return &module.Client{URL: r.url, User: r.user, Password: password, Host: r.host, HTTP: &http.Client{Transport: t}}, nil
}

// said turns an answer that says no into an error of the input; everything else stays what it is.
func said(err error) error {
	var e *module.Error
	if errors.As(err, &e) && e.Status < 500 {
		return &inputError{e.Error()}
	}
	return err
}

func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return &usageError{fmt.Errorf("wanted: %s", strings.Join(names, " "))}
		}
		return nil
	}
}

// size is a number of bytes for people.
func size(n int64) string {
	for _, u := range []string{"B", "KiB", "MiB"} {
		if n < 1<<10 {
			return fmt.Sprintf("%d %s", n, u)
		}
		n >>= 10
	}
	return fmt.Sprintf("%d GiB", n)
}
