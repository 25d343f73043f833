package modelbox

import "crypto/sha256"

func hash(s string) [16]byte {
	h := sha256.Sum256([]byte(s))
	return [16]byte(h[:16])
}
