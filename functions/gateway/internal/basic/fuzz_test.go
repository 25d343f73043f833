package basic

import (
	"io"
	"log/slog"
	"strings"
	"testing"
)

// Whatever an htpasswd file holds: nobody in it is without a name or has a plain password, and a
// line that stands later never takes the place of an earlier one.
func FuzzHtpasswd(f *testing.F) {
	for _, s := range []string{
		"ann:$apr1$x$2v.19yiclt8.Sy1MhjijS/\n", "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\r\nbob:plain\n",
		"ann:$2a$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ":x", "ann:", "# ann:x", "ann", "a:b:c",
		"\xff:{SHA}", "ann:$6$x$y", "ann:{SHA}AA==", "\x00:\x00",
		strings.Repeat("a", 600) + ":{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "ann:$apr1$" + strings.Repeat("s",
			9) + "$" + strings.Repeat("a", 22),
	} {
		f.Add(s)
	}
	quiet(f)
	f.Fuzz(func(t *testing.T, lines string) {
		u, again := &set{users: map[string]verifier{}}, &set{users: map[string]verifier{}}
		u.readHtpasswd("auth", []byte(lines))
		again.readHtpasswd("auth", []byte(lines+"\n"+lines))
		if len(u.users) != len(again.users) && !strings.ContainsAny(lines, "\r") {
			t.Errorf("%d users, twice %d", len(u.users), len(again.users))
		}
		for user, v := range u.users {
			if _, isPlain := v.(plain); user == "" || isPlain || strings.ContainsAny(user, ":\n") {
				t.Errorf("user %q: %T", user, v)
			}
			if b, ok := v.(bcrypted); ok && b.c > maxCost {
				t.Errorf("user %q: bcrypt cost %d", user, b.c)
			}
		}
	})
}

// A plain password is good as a whole and in no other form, and nothing that looks like a hash is
// one.
func FuzzPlain(f *testing.F) {
	for _, s := range [][2]string{{"secret", "secret "}, {"secret", "secre"}, {"$apr1$x$2v.19yiclt8.Sy1MhjijS/", ""},
		{"{SHA}x", "{SHA}x"}, {"$5$x$y", "$5$x$y"}, {"\xff", "\ufffd"}, {"a\x00", "a"}, {"", ""}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, stored, password string) {
		v, err := parse(stored, true)
		if err != nil {
			return
		}
		if _, isPlain := v.(plain); isPlain &&
			(v.verify(password) != (password == stored) || !v.verify(stored) || hashLike.MatchString(stored)) {
			t.Errorf("%q opens with %q: %v", stored, password, v.verify(password))
		}
	})
}

func quiet(f *testing.F) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	f.Cleanup(func() { slog.SetDefault(before) })
}
