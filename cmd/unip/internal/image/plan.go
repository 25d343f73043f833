package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Source is an image of the manifests with the Dockerfile that makes it.
type Source struct {
	// Names are those in the manifests, Repository what they have in common: the name without a tag.
	Names      []string
	Repository string
	Dockerfile string
}

// Sources finds the Dockerfile of each image in a folder. An image that has none of its own is made
// from the file Dockerfile, if it is the only such one. Images with a digest are somebody's already.
func Sources(images []string, dir string) ([]Source, error) {
	var all []Source
	for _, image := range images {
		ref, err := name.ParseReference(image)
		if err != nil {
			return nil, err
		}
		if _, is := ref.(name.Digest); is {
			continue
		}
		repository := Repository(image)
		if i := slices.IndexFunc(all, func(s Source) bool { return s.Repository == repository }); i >= 0 {
			all[i].Names = append(all[i].Names, image)
			continue
		}
		file, err := dockerfile(dir, repository)
		if err != nil {
			return nil, err
		}
		all = append(all, Source{Names: []string{image}, Repository: repository, Dockerfile: file})
	}
	var shared []string
	for _, s := range all {
		if s.Dockerfile == filepath.Join(dir, plain) {
			shared = append(shared, s.Repository)
		}
	}
	if len(shared) > 1 {
		return nil, fmt.Errorf("%s is for one image, and %s have no file of their own; name those that it is for, "+
			"or write %s for another", plain, strings.Join(shared, " and "),
			path.Join(filepath.ToSlash(dir), own(shared[1])[0]))
	}
	return all, nil
}

// CheckTag says what is wrong with a tag; none is right.
func CheckTag(tag string) error {
	if tag == "" {
		return nil
	}
	if _, err := name.NewTag("image:" + tag); err != nil {
		return fmt.Errorf("the tag %q: %w", tag, err)
	}
	return nil
}

// Repository is an image's name without its tag and digest.
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		return image[:i]
	}
	return image
}

const plain = "Dockerfile"

// own are the places of an image's own Dockerfile. For <org>/<project>-<stage> the stage's name does.
func own(repository string) (all []string) {
	for last := path.Base(repository); ; {
		all = append(all, plain+"."+last, last+"/"+plain)
		_, rest, more := strings.Cut(last, "-")
		if !more {
			return all
		}
		last = rest
	}
}

func dockerfile(dir, repository string) (string, error) {
	for _, place := range append(own(repository), plain) {
		file := filepath.Join(dir, filepath.FromSlash(place))
		info, err := os.Stat(file)
		switch {
		case err == nil && info.Mode().IsRegular():
			return file, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		}
	}
	return "", fmt.Errorf("no Dockerfile for %s in %s: looked for %s and %s; the folder is --dir", repository, dir,
		strings.Join(own(repository), ", "), plain)
}

// Revision is the short commit of the repository that a folder lies in. Changed: the folder has
// changes that are in no commit.
func Revision(ctx context.Context, dir string) (commit string, changed bool, err error) {
	commit, err = command(ctx, dir, "git", "rev-parse", "--short", "HEAD")
	if err != nil {
		return "", false, fmt.Errorf("an image's tag is the short commit, and %s is in no git repository with a commit "+
			"(%w); commit first, or say --tag", dir, err)
	}
	changes, err := command(ctx, dir, "git", "status", "--porcelain", "--", ".")
	return commit, changes != "", err
}
