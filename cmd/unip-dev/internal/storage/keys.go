package storage

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// keys are what the server is opened with, and where it listened the last time. Each folder has its
// own. They print without the secret.
type keys struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Port            int    `json:"port,omitempty"`
}

// String, with GoString, keeps the secret out of logs.
func (k keys) String() string { return "S3 keys of " + k.AccessKeyID }

// GoString keeps %#v from printing the secret.
func (k keys) GoString() string { return k.String() }

// readKeys reads the keys of a folder, and makes them when there are none.
func readKeys(name string) (keys, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		k := keys{AccessKeyID: "unip" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text()[:14]}
		return k, k.write(name)
	}
	if err != nil {
		return keys{}, fmt.Errorf("storage keys: %w", err)
	}
	var k keys
	if err := json.Unmarshal(b, &k); err != nil || k.AccessKeyID == "" || k.SecretAccessKey == "" {
		return keys{}, fmt.Errorf("storage keys: %s is damaged; remove it, and new keys are made", name)
	}
	if err := os.Chmod(name, fileMode); err != nil { // however it was copied
		return keys{}, fmt.Errorf("storage keys: %w", err)
	}
	return k, nil
}

func (k keys) write(name string) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("storage keys: %w", err)
	}
	return replace(name, append(b, '\n'))
}

// replace writes a file that is there whole or not at all.
func replace(name string, content []byte) error {
	next := name + ".next"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // with another mode, perhaps
		return err
	}
	if err := os.WriteFile(next, content, fileMode); err != nil {
		return err
	}
	return os.Rename(next, name)
}
