package main

import (
	"fmt"
	"strings"
)

// unreleased is the section of what no version has yet.
const unreleased = "Unreleased"

// notes are what CHANGELOG.md says of a version. A version of which it says nothing is not released:
// whoever upgrades would not know to what.
func notes(changelog, version string) (string, error) {
	var section strings.Builder
	found, said := false, false
	for line := range strings.Lines(changelog) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			if found {
				break
			}
			found = strings.HasPrefix(heading, "["+version+"]")
			continue
		}
		if !found {
			continue
		}
		section.WriteString(line)
		said = said || strings.HasPrefix(line, "- ")
	}
	switch {
	case !found:
		return "", fmt.Errorf("CHANGELOG.md has no section `## [%s] - DATE`: write what is new in it", version)
	case !said:
		return "", fmt.Errorf("CHANGELOG.md says nothing of [%s]: its section has no line that begins with `- `", version)
	}
	return strings.TrimSpace(section.String()) + "\n", nil
}
