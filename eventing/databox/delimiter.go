package databox

import (
	"encoding/json"
	"fmt"

	"github.com/unip-knative/unip/eventing/plainjson"
)

// delimiter is the condition key by which a policy allows listings of one folder at a time.
const delimiter = "s3:delimiter"

// WithoutDelimiter is a policy for a server that does not know s3:delimiter in a session's policy, as
// SeaweedFS: there a condition with it never holds, and nothing could be listed. Without it the holder
// of a session that lists the developer's area folder by folder may list all keys of the bucket: he
// learns names of users' files, and no content. Who has such a session is a program of unip's.
func WithoutDelimiter(policy string) (string, error) {
	var p struct {
		Version   string
		Statement []statement
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	for _, s := range p.Statement {
		for operator, keys := range s.Condition {
			if delete(keys, delimiter); len(keys) == 0 {
				delete(s.Condition, operator)
			}
		}
	}
	b, err := plainjson.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("session policy: %w", err)
	}
	return string(b), nil
}
