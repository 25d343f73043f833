package option

import (
	"os"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/translate/installation"
)

// ReadConfig is the configuration in a file.
func ReadConfig(file string) (installation.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return installation.Config{}, exit.Because(exit.InputWrong, err)
	}
	config, err := installation.Parse(b)
	if err != nil {
		return installation.Config{}, exit.Errorf(exit.InputWrong, "%s: %w", file, err)
	}
	return config, nil
}
