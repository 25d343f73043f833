package databox

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/unip-knative/unip/eventing/plainjson"
)

// delimiter is the condition key by which a policy allows listings of one folder at a time.
const delimiter = "s3:delimiter"

// WithoutDelimiter is a policy for a server that does not know s3:delimiter in a session's policy, as
// SeaweedFS: there a condition with it never holds, and nothing could be listed. Without it the holder
// of a session that lists the developer's area folder by folder may list all keys of the bucket: he
// learns names of users' files, and no content. Who has such a session is a program of unip's.
func WithoutDelimiter(policy string) (string, error) {
	return changed(policy, func(s *statement) {
		for operator, keys := range s.Condition {
			if delete(keys, delimiter); len(keys) == 0 {
				delete(s.Condition, operator)
			}
		}
	})
}

// WithoutColons is a policy for a server that takes none whose resources have a colon in a path, as
// Ceph: any one character may stand in its place. So the holder of a session for a path with a colon
// may use paths that differ from it there, of the same user or of the developer: users' names have no
// colon in a path. Who has such a session is a program of unip's.
func WithoutColons(policy string) (string, error) {
	return changed(policy, func(s *statement) {
		for i, r := range s.Resource {
			s.Resource[i] = resource + strings.ReplaceAll(strings.TrimPrefix(r, resource), ":", "?")
		}
	})
}

func changed(policy string, change func(*statement)) (string, error) {
	var p struct {
		Version   string
		Statement []statement
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	for i := range p.Statement {
		change(&p.Statement[i])
	}
	b, err := plainjson.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	return string(b), nil
}
