package manifest

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// lookalikes are letters of other alphabets, and dashes, that nobody tells from ASCII by sight.
var lookalikes = func() map[rune]rune {
	all := map[rune]rune{}
	for _, pair := range [][2]string{
		{"АВЕЅІЈКМНОРСТУХѴаеорсухіјѕкһԁԛԝѵӏ", "ABESIJKMHOPCTYXVaeopcyxijskhdqwvl"}, // Cyrillic
		{"ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοναρυικ", "ABEZHIKMNOPTYXovapuik"},                         // Greek
		{"‐‑‒–—−", "------"},
	} {
		latin := []rune(pair[1])
		for i, r := range []rune(pair[0]) {
			all[r] = latin[i]
		}
	}
	return all
}()

// latin is a text as it looks.
func latin(text string) string {
	return strings.Map(func(r rune) rune {
		if l, ok := lookalikes[r]; ok {
			return l
		}
		return r
	}, text)
}

// maxStrangers bounds how many letters of a word are named, and how many words.
const maxStrangers = 3

// strangers names letters of a message that its words only seem to have, for the message alone does
// not show them: "kind" with a Cyrillic і. They stand among letters of ASCII, or make a word that
// looks like one of ASCII. Other words are simply of another language.
func strangers(message string) string {
	if ascii(message) {
		return ""
	}
	var said []string
	for word := range strings.FieldsFuncSeq(message, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Dash, r)
	}) {
		if !spelled(word) && (!spelled(latin(word)) || !ascii(latin(word))) {
			continue
		}
		var letters []string
		for _, r := range word {
			if a := alphabet(r); a != "" && len(letters) < maxStrangers {
				letters = append(letters, fmt.Sprintf("%q is U+%04X, %s", r, r, a))
			}
		}
		what := fmt.Sprintf("in %q %s", word, strings.Join(letters, ", "))
		if len(letters) > 0 && !slices.Contains(said, what) && len(said) < maxStrangers {
			said = append(said, what)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, "; ") + ")"
}

// spelled reports letters of ASCII.
func spelled(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r <= unicode.MaxASCII && unicode.IsLetter(r) })
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// alphabet says what a letter is that is not of Latin; "" for one that is.
func alphabet(r rune) string {
	switch {
	case r <= unicode.MaxASCII, unicode.Is(unicode.Latin, r):
		return ""
	case unicode.Is(unicode.Dash, r):
		return "a dash and no hyphen"
	}
	for name, table := range unicode.Scripts {
		if unicode.Is(table, r) {
			return name
		}
	}
	return ""
}
