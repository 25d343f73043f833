// Command bound is quantity.Bound of its standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/unip-knative/unip/eventing/quantity"
)

func main() {
	crd, err := io.ReadAll(os.Stdin)
	if err == nil {
		_, err = os.Stdout.Write(quantity.Bound(crd))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bound:", err)
		os.Exit(1)
	}
}
