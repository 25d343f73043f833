package inputs

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf16"
)

// Logins are headers by which somebody would be a user of HTTP Basic whose password is the one that
// is given: as it is right (200), and as it is not. Of those that are counted as wrong passwords of
// this user there are fewer than the gateway lets wait at once.
func Logins(user, password string) []Case {
	code := base64.StdEncoding.EncodeToString
	basic := func(login string) string { return "Authorization: Basic " + code([]byte(login)) }
	good := code([]byte(user + ":" + password))
	sum := sha1.Sum([]byte(password))
	right := []string{
		basic(user + ":" + password), "authorization: Basic " + good, "Authorization: basic " + good,
		"AUTHORIZATION:BASIC " + good + "  ",
	}
	wrong := []string{
		// Of the user, with another password.
		basic(user + ":"), basic(user + ":" + password + "\n"), basic(user + ":" + strings.ToUpper(password) + "\x00"),
		basic(user + "::" + password), basic(user + ":{SHA}" + code(sum[:])), basic(user + ": OR 1=1"),
		// Of users that are none.
		basic(user), basic(":" + password), basic(":"), basic(""), basic(user + " :" + password),
		basic(" " + user + ":" + password), basic(strings.ToUpper(user) + ":" + password),
		basic(user + "\x00:" + password),
		basic(user + "\n:" + password), basic("\ufeff" + user + ":" + password), basic("oidc:" + user + ":" + password),
		basic("../users/" + user + ":" + password), basic("users/" + user + ":" + password), basic("auth:" + password),
		basic(fmt.Sprintf("%%%02x%s:%s", user[0], user[1:], password)), basic("*:" + password), basic("anonymous:"),
		basic("anonymous:anonymous"), basic(strings.Repeat("u", 2000) + ":" + password), basic("\xff\xfe:" + password),
		basic(wide(user + ":" + password)), basic(user + "\u200b:" + password),
		// In no form of HTTP Basic.
		"Authorization: Basic" + good, "Authorization: Basic  " + good, "Authorization: Basic\t" + good,
		"Authorization: Basic " + user + ":" + password, "Authorization: Basic " + good + good + "=",
		"Authorization: Basic " + good + ", Basic " + good, "Authorization: Basic \"" + good + "\"",
		"Authorization: Basic " + strings.TrimRight(good, "=") + "-_", "Authorization: Basic", "Authorization: ",
		"Authorization: " + good, "Authorization: Digest username=\"" + user + "\"", "Authorization: Negotiate " + good,
		"Authorization: Bearer " + good, "Authorization: Bearer " + password, "Authorization: Basic:" + good,
		"Authorization: AWS4-HMAC-SHA256 Credential=" + user, "Authorization: x\r\nAuthorization: Basic " + good,
		"Proxy-Authorization: Basic " + good, "X-Authorization: Basic " + good, "Authorization-: Basic " + good,
		"Cookie: Authorization=Basic " + good, "X-Forwarded-User: " + user, "Unip-Caller: Basic " + good,
	}
	var all []Case
	for _, h := range right {
		all = append(all, Case{Want: []int{200}, Input: h, Place: "logins"})
	}
	for _, h := range wrong {
		all = append(all, Case{Want: []int{401}, Input: h, Place: "logins"})
	}
	return all
}

// wide is a text in UTF-16, as an old client may write it.
func wide(s string) string {
	var b strings.Builder
	for _, c := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(c))
		b.WriteByte(byte(c >> 8))
	}
	return b.String()
}
