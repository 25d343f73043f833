package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/users"
)

// maxPassword is bcrypt's own bound: it does not look at what comes behind.
const maxPassword = 72

// usersOptions are what the commands of users share.
type usersOptions struct {
	option.Cluster
	namespace, secret string
	format            option.Format
}

func usersCommand() *cobra.Command {
	o := &usersOptions{}
	c := &cobra.Command{
		Use:   "users",
		Short: "Users of HTTP Basic: list, add, change their passwords, remove",
		Long: `Users lists and changes those who may call a module's APIs by a password (auth.basic), in the Secret
that the APIs name. Each user is a key of it with a bcrypt hash, written by server-side apply with
the field manager "unip-users"; 'unip apply' leaves these keys alone. Users of the manifests are
changed there. A change counts for the module's gateway within about a minute. It needs a kubeconfig
that may read and patch Secrets of the namespace.`,
		Example: `  unip users ls -n pu-ann-pa-leaves
  unip users add boris -n pu-ann-pa-leaves`,
		Args: commandArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f := c.PersistentFlags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "the module (default: the namespace of the kubeconfig's context)")
	f.StringVar(&o.secret, "secret", "", "the Secret with the users (default: the only one that the module's APIs name)")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "the kubeconfig file (default: kubectl's)")
	f.StringVar(&o.Context, "context", "", "the kubeconfig's context (default: its current one)")
	o.format.AddTo(c, f, "text or json", "text", "json")
	cobra.CheckErr(errors.Join(c.RegisterFlagCompletionFunc("namespace", o.completeNamespace),
		c.RegisterFlagCompletionFunc("secret", o.completeSecret)))
	c.AddCommand(o.list(), o.add(), o.passwd(), o.remove())
	return c
}

// open is the cluster, with namespace and Secret found out.
func (o *usersOptions) open(c *cobra.Command) (*cluster.Cluster, error) {
	if err := o.format.Check(); err != nil {
		return nil, err
	}
	k, err := o.Connect(c)
	if err != nil {
		return nil, err
	}
	if o.namespace == "" {
		if o.namespace, err = cluster.Namespace(o.Kubeconfig, o.Context); err != nil {
			return nil, err
		}
	}
	all, err := k.CredentialSecrets(c.Context(), o.namespace)
	switch {
	case err != nil:
		return nil, exit.Because(exit.InputWrong, fmt.Errorf("%w; -n names the module", err))
	case len(all) == 0:
		return nil, exit.Errorf(exit.InputWrong, "no API in namespace %s has auth.basic", o.namespace)
	case o.secret == "" && len(all) == 1:
		o.secret = all[0]
	case o.secret == "":
		return nil, exit.Errorf(exit.UsageWrong, "--secret is missing: one of %s", strings.Join(all, ", "))
	case !slices.Contains(all, o.secret):
		return nil, exit.Errorf(exit.InputWrong, "--secret: no API in namespace %s names %s; there is %s", o.namespace,
			o.secret, strings.Join(all, ", "))
	}
	return k, nil
}

func (o *usersOptions) list() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the users, and who keeps them",
		Example: `  unip users ls -n pu-ann-pa-leaves
  unip users ls -n pu-ann-pa-leaves -o json | jq -r '.users[] | select(.stored == "plain") | .name'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := o.open(c)
			if err != nil {
				return err
			}
			all, err := k.Users(c.Context(), o.namespace, o.secret)
			if err != nil {
				return err
			}
			if o.format.JSON() {
				return output.WriteJSON(c.OutOrStdout(), map[string]any{"secret": o.secret,
					"users": append([]cluster.UserEntry{}, all...)})
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "USER\tKEPT BY\tPASSWORD")
			for _, u := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\n", printable.Line(u.Name), printable.Line(keeper(u)), u.Stored)
			}
			return w.Flush()
		},
	}
}

// keeper says in words who keeps a user.
func keeper(u cluster.UserEntry) string {
	by := u.From
	switch by {
	case cluster.UsersManager:
		by = "unip users"
	case cluster.Manager:
		by = "the manifests"
	}
	if u.Key != "" {
		by += ", in " + u.Key
	}
	return by
}

func (o *usersOptions) add() *cobra.Command {
	return &cobra.Command{
		Use:   "add USER",
		Short: "Add a user; the password comes from the terminal, or on standard input",
		Example: `  unip users add boris -n pu-ann-pa-leaves
  openssl rand -base64 18 | tee password | unip users add boris -n pu-ann-pa-leaves`,
		Args:              exactArgs("USER"),
		ValidArgsFunction: noCompletion,
		RunE: func(c *cobra.Command, args []string) error {
			if err := users.CheckKey(args[0]); err != nil {
				return exit.Because(exit.UsageWrong, err)
			}
			k, err := o.open(c)
			if err != nil {
				return err
			}
			hash, err := askPassword(c, args[0])
			if err != nil {
				return err
			}
			return o.told(c, args[0], "added to", k.AddUser(c.Context(), o.namespace, o.secret, args[0], hash))
		},
	}
}

func (o *usersOptions) passwd() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd USER",
		Short: "Change a user's password; it comes from the terminal, or on standard input",
		Long: `Passwd changes the password of a user whom 'unip users' has added. Others are changed where they
stand.`,
		Example:           `  unip users passwd boris -n pu-ann-pa-leaves`,
		Args:              exactArgs("USER"),
		ValidArgsFunction: o.completeUser,
		RunE: func(c *cobra.Command, args []string) error {
			k, err := o.open(c)
			if err != nil {
				return err
			}
			if err := k.MayChange(c.Context(), o.namespace, o.secret, args[0]); err != nil {
				return o.told(c, args[0], "", err)
			}
			hash, err := askPassword(c, args[0])
			if err != nil {
				return err
			}
			return o.told(c, args[0], "changed in", k.SetUser(c.Context(), o.namespace, o.secret, args[0], hash))
		},
	}
}

func (o *usersOptions) remove() *cobra.Command {
	return &cobra.Command{
		Use:   "rm USER",
		Short: "Remove a user",
		Long: `Rm removes a user whom 'unip users' has added. Others are removed where they stand. The user's files
and runs stay.`,
		Example:           `  unip users rm boris -n pu-ann-pa-leaves`,
		Args:              exactArgs("USER"),
		ValidArgsFunction: o.completeUser,
		RunE: func(c *cobra.Command, args []string) error {
			k, err := o.open(c)
			if err != nil {
				return err
			}
			return o.told(c, args[0], "removed from", k.RemoveUser(c.Context(), o.namespace, o.secret, args[0]))
		},
	}
}

// told says what was done, or why it was not.
func (o *usersOptions) told(c *cobra.Command, user, done string, err error) error {
	switch {
	case errors.Is(err, cluster.ErrUserExists), errors.Is(err, cluster.ErrNoUser), errors.Is(err, cluster.ErrNotOurs):
		return exit.Because(exit.InputWrong, err)
	case err != nil:
		return err
	case o.format.JSON():
		verb, _, _ := strings.Cut(done, " ")
		return output.WriteJSON(c.OutOrStdout(), map[string]string{"secret": o.secret, "user": user, "result": verb})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "user %s %s Secret %s\n", printable.Line(user), done, o.secret)
	return err
}

// askPassword takes a password in and gives its hash.
func askPassword(c *cobra.Command, user string) (string, error) {
	password, err := readPassword(c, user)
	switch {
	case err != nil:
		return "", exit.Because(exit.InputWrong, err)
	case password == "":
		return "", exit.Errorf(exit.InputWrong, "the password is empty")
	case len(password) > maxPassword:
		return "", exit.Errorf(exit.InputWrong, "the password has %d bytes: bcrypt takes %d", len(password), maxPassword)
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", exit.Errorf(exit.InputWrong, "the password is one line")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return string(hash), err
}

// readPassword asks twice at a terminal, where nothing is shown of it; else it is standard input,
// without the end of its line.
func readPassword(c *cobra.Command, user string) (string, error) {
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		b, err := io.ReadAll(io.LimitReader(c.InOrStdin(), 64<<10))
		line := strings.TrimSuffix(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), err
	}
	var both [2]string
	for i, again := range []string{"", ", again"} {
		fmt.Fprintf(c.ErrOrStderr(), "password of %s%s: ", printable.Line(user), again)
		b, err := typed(c.Context(), int(in.Fd()))
		fmt.Fprintln(c.ErrOrStderr())
		if err != nil {
			return "", err
		}
		both[i] = string(b)
	}
	if both[0] != both[1] {
		return "", errors.New("the two differ")
	}
	return both[0], nil
}

// typed reads a line from a terminal that shows nothing of it. When the context ends before, the
// terminal is again as it was.
func typed(ctx context.Context, terminal int) ([]byte, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, err
	}
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(terminal)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done(): // the read goes on until the process ends
		return nil, errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

func noCompletion(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func (o *usersOptions) completeNamespace(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var all []string
	if k, err := cluster.Connect(o.Kubeconfig, o.Context, io.Discard); err == nil {
		all, _ = k.Modules(c.Context()) // who may not list namespaces completes none
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func (o *usersOptions) completeSecret(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var all []string
	if k, err := cluster.Connect(o.Kubeconfig, o.Context, io.Discard); err == nil {
		all, _ = k.CredentialSecrets(c.Context(), o.namespace)
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeUser names the users that can be changed here.
func (o *usersOptions) completeUser(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if k, err := o.open(c); err == nil && len(args) == 0 {
		all, _ := k.Users(c.Context(), o.namespace, o.secret)
		for _, u := range all {
			if u.From == cluster.UsersManager && u.Key == "" {
				names = append(names, u.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
