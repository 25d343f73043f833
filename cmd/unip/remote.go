package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/module"
	"github.com/unip-knative/unip/eventing/printable"
)

// remote is how a module's HTTP API is reached. All of it may stand in the environment, so that a password is in no process list.
type remote struct {
	url, user, host, output string
	passwordFile, tokenFile string
	passwordStdin           bool
	command                 *cobra.Command
}

func (r *remote) flags(c *cobra.Command) {
	r.command = c
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", os.Getenv("UNIP_URL"), "the module, https://<host>/<namespace> (default: UNIP_URL)")
	f.StringVarP(&r.user, "user", "u", os.Getenv("UNIP_USER"), "user name (default: UNIP_USER); the password is UNIP_PASSWORD, or in --password-file, or comes by --password-stdin")
	f.StringVar(&r.passwordFile, "password-file", "", "file with the password")
	f.BoolVar(&r.passwordStdin, "password-stdin", false, "the password comes on standard input")
	f.StringVar(&r.tokenFile, "token-file", "", "file with a token of the module's OpenID Connect issuer, in place of user and password (default: the token in UNIP_TOKEN)")
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
	m := &module.Client{URL: r.url, Host: r.host}
	if err := r.login(m); err != nil {
		return nil, err
	}
	m.HTTP = client(10 * time.Minute) // a gateway that wakes up, a storage that takes a large file
	return m, nil
}

// client is an HTTP client that waits so long for the header of an answer.
func client(wait time.Duration) *http.Client {
	t := &http.Transport{}
	if usual, ok := http.DefaultTransport.(*http.Transport); ok {
		t = usual.Clone()
	}
	t.ResponseHeaderTimeout = wait
	return &http.Client{Transport: t}
}

// login says who calls: the token, or user and password. Flags win over the environment, and in the environment the token wins.
func (r *remote) login(m *module.Client) error {
	f := r.command.PersistentFlags()
	basic := f.Changed("user") || f.Changed("password-file") || r.passwordStdin
	switch {
	case r.tokenFile != "" && basic:
		return &usageError{errors.New("--token-file stands in place of --user and --password-file")}
	case r.passwordStdin && r.passwordFile != "":
		return &usageError{errors.New("--password-stdin stands in place of --password-file")}
	case basic && r.user == "":
		return &usageError{errors.New("there is a password and no user: --user or UNIP_USER is missing")}
	case f.Changed("user") && strings.Contains(r.user, ":"):
		return &usageError{errors.New("--user takes the name alone: on a command line everybody on this machine can read a password; give it in UNIP_PASSWORD, --password-file or --password-stdin")}
	}
	if !basic {
		m.Token = strings.TrimSpace(os.Getenv("UNIP_TOKEN"))
	}
	secret, file := &m.Password, r.passwordFile
	if r.tokenFile != "" {
		secret, file = &m.Token, r.tokenFile
	}
	if file != "" {
		b, err := readSecret(file)
		if err != nil {
			return &inputError{err.Error()}
		}
		*secret = b
	}
	if r.passwordStdin {
		b, err := secretIn(r.command.InOrStdin(), "standard input")
		if err != nil {
			return &inputError{err.Error()}
		}
		m.Password = b
	}
	if r.tokenFile != "" && m.Token == "" {
		return &inputError{r.tokenFile + " is empty"}
	}
	if m.Token == "" {
		m.User = r.user
		if file == "" && !r.passwordStdin {
			m.Password = os.Getenv("UNIP_PASSWORD")
		}
	}
	return nil
}

// maxSecret bounds a file with a password or a token.
const maxSecret = 64 << 10

// readSecret reads a file of one line.
func readSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return secretIn(f, name)
}

func secretIn(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSecret)
	}
	return strings.TrimRight(string(b), "\r\n"), err
}

// said turns an answer that says no into an error of the input; everything else stays what it is.
func said(err error) error {
	var e *module.Error
	if errors.As(err, &e) && e.Status < 500 {
		return &inputError{printable.Line(e.Error())}
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
