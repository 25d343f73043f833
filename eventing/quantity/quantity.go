// Package quantity reads Kubernetes' quantities from other people's text, within bounds:
// Kubernetes' own parser computes with every digit of a number, so that 1e999999999 takes it hours.
package quantity

import (
	"bytes"
	"errors"
	"math"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Pattern is what a quantity may be: as Kubernetes writes it, with 32 digits on each side of the
// point and two of an exponent.
const Pattern = `^(\+|-)?(([0-9]{1,32}(\.[0-9]{0,32})?)|(\.[0-9]{1,32}))` +
	`(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,2}))?$`

// ErrForm is a text that is no quantity, or one out of bounds.
var ErrForm = errors.New("not a quantity")

var pattern = regexp.MustCompile(Pattern)

// most is the largest number that Kubernetes computes and writes exactly; of greater ones it loses
// the suffix.
var most = *resource.NewQuantity(math.MaxInt64, resource.DecimalSI)

// Parse reads a quantity, of 2^63-1 at the most on either side of zero. The error is ErrForm.
func Parse(s string) (resource.Quantity, error) {
	if !pattern.MatchString(s) {
		return resource.Quantity{}, ErrForm
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return resource.Quantity{}, ErrForm
	}
	size := q.DeepCopy()
	if size.Sign() < 0 {
		size.Neg()
	}
	if size.Cmp(most) > 0 {
		return resource.Quantity{}, ErrForm
	}
	return q, nil
}

// unbounded is the pattern that controller-gen gives to every quantity.
const unbounded = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))` +
	`(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`

// Bound gives the quantities of a CRD that controller-gen has made the bounds of Pattern, so that
// no object comes into the cluster that its readers would compute with for hours.
func Bound(crd []byte) []byte {
	return bytes.ReplaceAll(crd, []byte(unbounded), []byte(Pattern))
}
