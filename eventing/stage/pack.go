package stage

import (
	"encoding/hex"
	"errors"
	"path"
	"strconv"
	"strings"
)

// Small files of an output travel in packs, one object of many contents, for a request costs more
// than they do. A pack's name is the SHA-256 of its content: who publishes the same attempt again
// never puts another content in a pack's place.
const (
	// MaxPacked is the size of the largest file in a pack, MaxPack that of the largest pack.
	MaxPacked = 64 << 10
	MaxPack   = 4 << 20
)

// Pack divides the small ones of an output's files among packs, one after the other; the others
// stay objects of their own, and so does a single small one.
func Pack(files []File) {
	var small []*File
	for i := range files {
		if files[i].Size <= MaxPacked {
			small = append(small, &files[i])
		}
	}
	if len(small) < 2 {
		return
	}
	pack, end := 1, int64(0)
	for _, f := range small {
		if end+f.Size > MaxPack {
			pack, end = pack+1, 0
		}
		f.Pack, f.Offset = pack, end
		end += f.Size
	}
}

// ByPack gives the files of each pack by its number; at 0 are those that are objects of their own.
func ByPack(files []File) [][]*File {
	all := make([][]*File, 1)
	for i := range files {
		f := &files[i]
		for len(all) <= f.Pack {
			all = append(all, nil)
		}
		all[f.Pack] = append(all[f.Pack], f)
	}
	return all
}

// PackSize is how far these files of a pack reach.
func PackSize(files []*File) (size int64) {
	for _, f := range files {
		size = max(size, f.Offset+f.Size)
	}
	return size
}

// In is the file's content in that of its pack.
func (f File) In(pack []byte) []byte { return pack[f.Offset : f.Offset+f.Size : f.Offset+f.Size] }

// checkPlace reports an error for a file that lies in none of so many packs, or not within it.
func (f File) checkPlace(packs int) error {
	switch {
	case f.Pack == 0 && f.Offset == 0:
		return nil
	case f.Object != "":
		return errors.New("is in a pack and in an object")
	case f.Pack < 1 || f.Pack > packs:
		return errors.New("is in a pack that is not there")
	case f.Size > MaxPacked || f.Offset < 0 || f.Offset > MaxPack-f.Size:
		return errors.New("does not lie within its pack")
	}
	return nil
}

// PackKey is where a pack of an output lies: beside the attempt's files, so that no file's name can
// be its own. The part is the stage's own of the run bucket (Prefix).
func PackKey(part string, attempt int, output, name string) string {
	return path.Join(part, strconv.Itoa(attempt)+".packs", output, name)
}

// isSum reports a SHA-256 in lower-case hexadecimal.
func isSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}
