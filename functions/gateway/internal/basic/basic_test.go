package basic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/unip-knative/unip/eventing/users"
)

func bcryptOf(t testing.TB, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// secret makes a folder as kubelet mounts a Secret: the files are links through ..data, which is
// swapped on a change.
func secret(t testing.TB, dir, name string, keys map[string]string) {
	t.Helper()
	mount := filepath.Join(dir, name)
	version := fmt.Sprintf("..%d", time.Now().UnixNano())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(mount, version), 0o755))
	for k, v := range keys {
		must(os.WriteFile(filepath.Join(mount, version, k), []byte(v), 0o600))
		link := filepath.Join(mount, k)
		if _, err := os.Lstat(link); err != nil {
			must(os.Symlink(filepath.Join("..data", k), link))
		}
	}
	must(os.Symlink(version, filepath.Join(mount, "..data_tmp")))
	must(os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
}

func check(t *testing.T, s *Store, user, password string, want bool) {
	t.Helper()
	got, err := s.Check(context.Background(), "users", user, password)
	if err != nil || got != want {
		t.Errorf("user %q, password %q: %v, %v; want %v", user, password, got, err, want)
	}
}

func TestKindsOfPasswords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret(t, dir, "users", map[string]string{
		"plain":      "pa:ss wörd",
		"newline":    "from-a-file\n",
		"dollar":     "$money$",
		"dollar-two": "$2 a day",
		"bcrypt":     bcryptOf(t, "secret", 4),
		"empty":      "",
		"sha512":     "$6$salt$abcdef",
		"argon":      "$argon2id$v=19$m=65536,t=3,p=4$abc$def",
		"ssha":       "{SSHA}abcdef",
		"broken":     "$2y$10$short",
		"costly":     strings.Replace(bcryptOf(t, "x", 4), "$04$", "$31$", 1),
		"auth": "# comment\n\nапря:$apr1$x$2v.19yiclt8.Sy1MhjijS/\napr:$apr1$abcdefgh$NriZ3KceyQFy368Ufp8U./\r\n" +
			"none:$apr1$ab$S8K6Sgp3W8c9Jb6LxgywZ.\nsha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nyes:" +
			strings.Replace(bcryptOf(t,
				"yes", 4), "$2a$", "$2y$", 1) +
			"\nraw:plaintext\nbad line\n:nobody\nplain:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n",
		"more.htpasswd": "more:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
	})
	s := New(dir)
	for _, good := range [][2]string{
		{"newline", "from-a-file"}, {"dollar", "$money$"}, {"dollar-two", "$2 a day"}, {"bcrypt", "secret"},
		{"apr", "pass word"},
		{"апря", "длинный пароль больше шестнадцати байт"}, {"none", ""}, {"sha", "password"}, {"yes", "yes"},
		{"more", "password"},
	} {
		check(t, s, good[0], good[1], true)
		check(t, s, good[0], good[1], true) // from what is remembered
		check(t, s, good[0], good[1]+"x", false)
		check(t, s, strings.ToUpper(good[0])+"x", good[1], false)
	}
	for _, bad := range [][2]string{
		{"empty", ""}, {"sha512", "$6$salt$abcdef"}, {"argon", "$argon2id$v=19$m=65536,t=3,p=4$abc$def"},
		{"ssha", "{SSHA}abcdef"}, {"broken", "$2y$10$short"},
		{"costly", "x"}, {"raw", "plaintext"}, {"auth", ""}, {"", ""}, {"nobody", ""}, {"..data", ""},
		{"more.htpasswd", "more:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
		{"plain", "pa:ss wörd"}, // the line in auth came first
		{strings.Repeat("u", users.MaxName+1), "x"}, {"bcrypt", strings.Repeat("p", maxPassword+1)},
	} {
		check(t, s, bad[0], bad[1], false)
	}
}

func TestAChangedSecretCountsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := New(dir)
	check(t, s, "ann", "one", false) // not mounted yet
	secret(t, dir, "users", map[string]string{"ann": bcryptOf(t, "one", 4)})
	check(t, s, "ann", "one", true)
	check(t, s, "ann", "one", true)
	secret(t, dir, "users", map[string]string{"ann": bcryptOf(t, "two", 4)})
	check(t, s, "ann", "one", false)
	check(t, s, "ann", "two", true)
	secret(t, dir, "users", map[string]string{})
	check(t, s, "ann", "two", false)
}

func TestFoldersWithoutKubelet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "users"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := New(dir)
	check(t, s, "ann", "one", false)
	if err := os.WriteFile(filepath.Join(dir, "users", "ann"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, s, "ann", "one", true)
}

func TestSecretsAreApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret(t, dir, "users", map[string]string{"ann": bcryptOf(t, "one", 4)})
	secret(t, dir, "others", map[string]string{"boris": "two"})
	s := New(dir)
	check(t, s, "ann", "one", true)
	check(t, s, "boris", "two", false)
	if ok, _ := s.Check(context.Background(), "others", "ann", "one"); ok {
		t.Error("a user of one Secret logs in with another")
	}
}

// A refusal costs the same for a wrong password, an unknown user and a user with a cheap hash.
// Generous bounds: the difference that matters is that between one bcrypt and none, a factor of
// thousands.
func TestARefusalTakesTheSameForUnknownUsers(t *testing.T) {
	dir := t.TempDir()
	secret(t, dir, "users", map[string]string{"ann": bcryptOf(t, "one", 8), "cheap": "plain"})
	s := New(dir)
	// What else the machine does makes single checks slower, never quicker: the best of each counts, and
	// they take turns until they agree.
	users := []string{"ann", "nobody", "cheap"}
	best := map[string]time.Duration{}
	for round := range 50 {
		for _, user := range users {
			start := time.Now()
			check(t, s, user, "wrong", false)
			if took := time.Since(start); best[user] == 0 || took < best[user] {
				best[user] = took
			}
		}
		known, unknown, cheap := best["ann"], best["nobody"], best["cheap"]
		if round >= 4 && unknown > known/2 && unknown < known*2 && cheap > known/2 && cheap < known*2 {
			return
		}
	}
	t.Errorf("the best of 50: %v", best)
}

func TestAWaitingCheckEndsWithItsCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret(t, dir, "users", map[string]string{"ann": bcryptOf(t, "one", 4)})
	s := New(dir)
	s.turns.free = 0
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if ok, err := s.Check(ctx, "users", "ann", "one"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", ok, err)
	}
}

func BenchmarkCheckRemembered(b *testing.B) {
	dir := b.TempDir()
	secret(b, dir, "users", map[string]string{"ann": bcryptOf(b, "one", 10)})
	s := New(dir)
	for b.Loop() {
		if ok, _ := s.Check(context.Background(), "users", "ann", "one"); !ok {
			b.Fatal("refused")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("$apr1$x$2v.19yiclt8.Sy1MhjijS/", true)
	f.Add("$2a$04$", false)
	f.Fuzz(func(t *testing.T, stored string, plain bool) {
		if strings.HasPrefix(stored, "$2") {
			return // slow
		}
		v, err := parse(stored, plain)
		if err == nil && strings.HasPrefix(stored, "$") && !strings.HasPrefix(stored, "$apr1$") && v.verify(stored) &&
			hashLike.MatchString(stored) {
			t.Errorf("the hash %q is its own password", stored)
		}
	})
}
