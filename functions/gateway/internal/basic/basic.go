// Package basic checks user names and passwords (HTTP Basic) against the Secrets that a module's
// APIComponents name, mounted as folders.
//
// A Secret's keys are: one key per user, its value the password, plain or hashed; or the key
// "auth", or any "*.htpasswd", in htpasswd's format. Known hashes: bcrypt, apr1, {SHA}. A user
// whose hash is of another kind cannot log in, and the log says so once per load.
//
// Promises: a changed Secret counts from the next call on after kubelet has brought it; passwords
// are compared in constant time; whether a user exists cannot be told from how long a refusal
// takes; a hash's price is paid once per user and password, not on every call. Passwords are held
// hashed and never logged. How many wait for expensive hashes is bounded, and they wait by turns
// with other users (ErrBusy).
package basic

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/unip-knative/unip/eventing/users"
)

const (
	// maxFile bounds one key of a Secret, which is at most 1 MiB in all.
	maxFile = 1 << 20
	// maxPassword bounds a password in bytes; it is hashed, perhaps slowly.
	maxPassword = 1024
	// maxCached bounds the logins that are remembered per Secret.
	maxCached = 1024
)

// Store holds the users of all Secrets below one folder.
type Store struct {
	dir string
	// seat limits how many expensive hashes are computed at once, so that guessing cannot take the
	// whole CPU from other calls' work.
	turns *turns
	// secret keys the remembered logins: only this process can tell what they stand for.
	secret [sha256.Size]byte

	mu   sync.Mutex
	sets map[string]*set
}

// set is the users of one Secret as it was at one time.
type set struct {
	version string
	users   map[string]verifier
	slowest verifier // what an unknown user is compared with; nil without users
	good    map[[sha256.Size]byte]struct{}
}

// New is the store of the Secrets in dir, one folder each.
func New(dir string) *Store {
	s := &Store{dir: dir, turns: newTurns(max(1, runtime.GOMAXPROCS(0))), sets: map[string]*set{}}
	_, _ = rand.Read(s.secret[:]) // never fails (crypto/rand)
	return s
}

// Check reports whether the Secret has the user with this password. The error is ErrBusy, or ctx's:
// the call ended while its turn had not come.
func (s *Store) Check(ctx context.Context, secret, user, password string) (bool, error) {
	if !Possible(user) || len(password) > maxPassword {
		return false, nil
	}
	u := s.load(secret)
	v, known := u.users[user]
	login := s.Login(secret, user, password)
	if known && s.remembered(u, login) {
		return true, nil
	}
	if u.slowest == nil {
		return false, nil
	}
	if u.slowest.cost() > 0 {
		if err := s.turns.wait(ctx, user); err != nil {
			return false, err
		}
		defer s.turns.leave()
		if known && s.remembered(u, login) { // somebody has asked the same meanwhile
			return true, nil
		}
	}
	ok := known && v.verify(password)
	if !ok && (!known || v.cost() < u.slowest.cost()) {
		u.slowest.verify(password) // its result does not matter, its time does
	}
	if ok && v.cost() > 0 {
		s.remember(u, login)
	}
	return ok, nil
}

// Possible reports a name that a user can have. That of everybody on an open API is nobody's, for
// its files and runs would be; and no name has characters that a log or a terminal obeys.
func Possible(user string) bool {
	return users.Possible(user)
}

// Login stands for a user's password; only this process can tell for which.
func (s *Store) Login(secret, user, password string) (k [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.secret[:])
	fmt.Fprintf(h, "%d:%d:%s%s%s", len(secret), len(user), secret, user, password)
	h.Sum(k[:0])
	return k
}

func (s *Store) remembered(u *set, login [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := u.good[login]
	return ok
}

func (s *Store) remember(u *set, login [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(u.good) >= maxCached {
		clear(u.good)
	}
	u.good[login] = struct{}{}
}

// load is the Secret's users, read again when its folder has changed.
func (s *Store) load(secret string) *set {
	dir := filepath.Join(s.dir, secret)
	v := version(dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.sets[secret]; u != nil && u.version == v {
		return u
	}
	u := &set{version: v, users: map[string]verifier{}, good: map[[sha256.Size]byte]struct{}{}}
	if err := u.readFolder(dir); err != nil {
		slog.Error("credentials cannot be read; nobody can log in with them", "secret", secret, "error", err)
		u.users = nil
	}
	for _, v := range u.users {
		if u.slowest == nil || v.cost() > u.slowest.cost() {
			u.slowest = v
		}
	}
	slog.Info("credentials read", "secret", secret, "users", len(u.users))
	s.sets[secret] = u
	return u
}

// version changes whenever the folder's files do: kubelet swaps the link ..data; elsewhere it is
// names, sizes and times.
func version(dir string) string {
	if target, err := os.Readlink(filepath.Join(dir, "..data")); err == nil {
		return target
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "none"
	}
	var b strings.Builder
	for _, e := range entries {
		if i, err := e.Info(); err == nil {
			fmt.Fprintf(&b, "%q %d %d,", e.Name(), i.Size(), i.ModTime().UnixNano())
		}
	}
	return b.String()
}

// readFolder fills the set; ReadDir's order makes the first of two equal names win.
func (u *set) readFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the Secret is missing: %w", err)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, "..") || e.IsDir() { // kubelet's own
			continue
		}
		b, err := readFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if users.IsHtpasswd(name) {
			u.readHtpasswd(name, b)
			continue
		}
		u.addUser(name, name, strings.TrimRight(string(b), "\r\n"), true)
	}
	return nil
}

func (u *set) readHtpasswd(key string, b []byte) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		if !ok || user == "" {
			slog.Error("a line of an htpasswd key is not user:hash", "key", key, "line", n)
			continue
		}
		u.addUser(key, user, hash, false)
	}
}

func (u *set) addUser(key, user, stored string, plainAllowed bool) {
	if _, double := u.users[user]; double {
		slog.Error("a user stands in the credentials twice; the first one counts", "key", key, "user", user)
		return
	}
	v, err := parse(stored, plainAllowed)
	if !Possible(user) {
		err = errors.New("nobody can have this name")
	}
	if err != nil {
		slog.Error("a user cannot log in", "key", key, "user", user, "error", err)
		return
	}
	u.users[user] = v
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return b, err
}
