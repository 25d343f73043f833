package option

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
)

// Module is how a module's HTTP API is reached, and who calls. All of it may stand in the
// environment, so that a password is in no process list.
type Module struct {
	URL, Host     string
	PasswordStdin bool
	Output        Format

	user                    string
	passwordFile, tokenFile string
	command                 *cobra.Command
}

// AddFlags adds the flags to the command and those below it.
func (r *Module) AddFlags(c *cobra.Command) {
	r.command = c
	f := c.PersistentFlags()
	f.StringVar(&r.URL, "url", os.Getenv("UNIP_URL"), "the module, https://<host>/<namespace> (default: UNIP_URL)")
	f.StringVarP(&r.user, "user", "u", os.Getenv("UNIP_USER"),
		"user name (default: UNIP_USER); the password is UNIP_PASSWORD, or in --password-file, or comes by --password-stdin")
	f.StringVar(&r.passwordFile, "password-file", "", "file with the password")
	f.BoolVar(&r.PasswordStdin, "password-stdin", false, "the password comes on standard input")
	f.StringVar(&r.tokenFile, "token-file", "",
		"file with a token of the module's OpenID Connect issuer, in place of user and password "+
			"(default: the token in UNIP_TOKEN)")
	f.StringVar(&r.Host, "host", os.Getenv("UNIP_HOST"),
		"HTTP Host header, for a cluster whose names are not in DNS (default: UNIP_HOST)")
	r.Output.AddTo(c, f, "json gives the answer as data", "", "json")
}

// Client is the module's client. What it has to say goes to standard error.
func (r *Module) Client() (*gateway.Client, error) {
	m, err := r.QuietClient()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(m.URL)
	if err != nil {
		return nil, err
	}
	r.WarnIfReadable(u, m)
	m.Slow = sync.OnceFunc(func() {
		fmt.Fprintln(r.command.ErrOrStderr(), "waiting for the module, which may have to wake up …")
	})
	return m, nil
}

// QuietClient is the module's client, which says nothing.
func (r *Module) QuietClient() (*gateway.Client, error) {
	if err := r.Output.Check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(r.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, exit.Errorf(exit.UsageWrong, "--url or UNIP_URL must name the module: https://<host>/<namespace>")
	}
	m := &gateway.Client{URL: r.URL, Host: r.Host}
	if err := r.Login(m); err != nil {
		return nil, err
	}
	m.HTTP = HTTPClient(10 * time.Minute) // a gateway that wakes up, a storage that takes a large file
	return m, nil
}

// WarnIfReadable says that what is secret goes over the network as it is.
func (r *Module) WarnIfReadable(u *url.URL, m *gateway.Client) {
	if u.Scheme == "http" && (m.Token != "" || m.User != "") && !isLoopback(u.Hostname()) {
		fmt.Fprintf(r.command.ErrOrStderr(),
			"warning: everybody on the way to %s can read your password or token: the URL is http, not https\n", u.Host)
	}
}

// isLoopback reports that a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || (ip != nil && ip.IsLoopback())
}

// HTTPClient waits so long for the header of an answer; 0 is without end.
func HTTPClient(wait time.Duration) *http.Client {
	t := &http.Transport{}
	if usual, ok := http.DefaultTransport.(*http.Transport); ok {
		t = usual.Clone()
	}
	t.ResponseHeaderTimeout = wait
	return &http.Client{Transport: t}
}

// Login tells the client who calls: the token, or user and password. Flags win over the
// environment, and in the environment the token wins.
func (r *Module) Login(m *gateway.Client) error {
	f := r.command.PersistentFlags()
	basic := f.Changed("user") || f.Changed("password-file") || r.PasswordStdin
	switch {
	case r.tokenFile != "" && basic:
		return exit.Errorf(exit.UsageWrong, "--token-file stands in place of --user and --password-file")
	case r.PasswordStdin && r.passwordFile != "":
		return exit.Errorf(exit.UsageWrong, "--password-stdin stands in place of --password-file")
	case basic && r.user == "":
		return exit.Errorf(exit.UsageWrong, "there is a password and no user: --user or UNIP_USER is missing")
	case f.Changed("user") && strings.Contains(r.user, ":"):
		return exit.Errorf(exit.UsageWrong,
			"--user takes the name alone: on a command line everybody on this machine can read a password; give it in "+
				"UNIP_PASSWORD, --password-file or --password-stdin")
	}
	if !basic {
		m.Token = strings.TrimSpace(os.Getenv("UNIP_TOKEN"))
	}
	secret, file := &m.Password, r.passwordFile
	if r.tokenFile != "" {
		secret, file = &m.Token, r.tokenFile
	}
	if file != "" {
		b, err := readSecretFile(file)
		if err != nil {
			return exit.Because(exit.InputWrong, err)
		}
		*secret = b
	}
	if r.PasswordStdin {
		b, err := readSecret(r.command.InOrStdin(), "standard input")
		if err != nil {
			return exit.Because(exit.InputWrong, err)
		}
		m.Password = b
	}
	if r.tokenFile != "" && m.Token == "" {
		return exit.Errorf(exit.InputWrong, "%s is empty", r.tokenFile)
	}
	if m.Token == "" {
		m.User = r.user
		if file == "" && !r.PasswordStdin {
			m.Password = os.Getenv("UNIP_PASSWORD")
		}
	}
	return nil
}

// maxSecret bounds a file with a password or a token.
const maxSecret = 64 << 10

// readSecretFile reads a file of one line.
func readSecretFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readSecret(f, name)
}

func readSecret(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSecret)
	}
	return strings.TrimRight(string(b), "\r\n"), err
}
