package quantity

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// What people write is often a quantity and not what they mean: 512m of memory is half a byte. Here
// is what an amount must be to make sense, and what its writer most likely meant.

// least is what a limit must be to be of any use: no container starts with less memory.
var least = map[corev1.ResourceName]resource.Quantity{
	corev1.ResourceMemory:           resource.MustParse("6Mi"),
	corev1.ResourceEphemeralStorage: resource.MustParse("1Mi"),
}

// Kubernetes counts processors by the thousandth, and no node has 1000 of them: who writes so many
// means thousandths.
var leastCPU, mostCPU = resource.MustParse("1m"), resource.MustParse("1000")

// Limit reads what a container may use of a resource. The error says what to write.
func Limit(name corev1.ResourceName, text string) (resource.Quantity, error) {
	if low, ok := least[name]; ok {
		q, err := Size(text)
		if err == nil && q.Cmp(low) < 0 {
			err = fmt.Errorf("%q is %s bytes, and nothing starts with less than %s; write %s", text, q.AsDec(), low.String(),
				size(strings.TrimRight(text, "kKi")))
		}
		return q, err
	}
	q, err := Parse(text)
	switch {
	case name == corev1.ResourceCPU && (err != nil || q.Sign() < 0):
		return q, fmt.Errorf("%q is not a quantity; write %s", text, processors(text))
	case err != nil || q.Sign() < 0:
		return q, fmt.Errorf("%q is not a quantity; write a whole number", text)
	case name != corev1.ResourceCPU && q.MilliValue()%1000 != 0:
		return q, fmt.Errorf("%q is not a whole number; Kubernetes gives such a resource undivided", text)
	case name == corev1.ResourceCPU && q.Cmp(leastCPU) < 0:
		return q, fmt.Errorf("%q is no processor time; write %s", text, processors(""))
	case name == corev1.ResourceCPU && q.Cmp(mostCPU) >= 0:
		return q, fmt.Errorf("%q is %s processors; write %s", text, q.AsDec(), processors(text))
	}
	return q, nil
}

// Size reads a positive number of whole bytes. The error says what to write.
func Size(text string) (resource.Quantity, error) {
	q, err := Parse(text)
	switch {
	case err != nil || q.Sign() <= 0:
		return q, fmt.Errorf("%q is not a size; write %s", text, size(text))
	case !whole(q):
		return q, fmt.Errorf("%q is no whole number of bytes (m is a thousandth); write %s", text, size(text))
	}
	return q, nil
}

func whole(q resource.Quantity) bool {
	return resource.NewQuantity(q.Value(), q.Format).Cmp(q) == 0 // Value rounds up
}

// written is a number and what may stand behind it.
var written = regexp.MustCompile(`^\s*\+?([0-9]+)([.,][0-9]+)?\s*([A-Za-z]*)\s*$`)

// size is what one who has written a size may mean: the number with a unit of Kubernetes'. A
// megabyte is M or Mi, and a number alone is taken for megabytes.
func size(text string) string {
	p := written.FindStringSubmatch(text)
	if p == nil {
		return usualSize
	}
	number, unit := p[1]+strings.ReplaceAll(p[2], ",", "."), strings.ToLower(p[3])
	letter, rest := "M", ""
	if unit != "" {
		letter, rest = strings.ToUpper(unit[:1]), unit[1:]
	}
	meant := []string{number + strings.Replace(letter, "K", "k", 1), number + letter + "i"}
	if strings.HasPrefix(rest, "i") {
		meant = meant[1:]
	}
	for _, m := range meant {
		if q, err := Parse(m); err != nil || q.Sign() <= 0 || !whole(q) {
			return usualSize
		}
	}
	return strings.Join(meant, " or ")
}

const usualSize = "1G, 500Mi or the like"

// processors is what one who has written a number of processors may mean.
func processors(text string) string {
	p := written.FindStringSubmatch(text)
	switch {
	case p == nil || len(p[1]+p[2]) > 8:
	case p[2] != "" && p[3] == "":
		return p[1] + strings.ReplaceAll(p[2], ",", ".")
	case p[2] == "" && (p[3] == "" || strings.EqualFold(p[3], "m") || strings.HasPrefix(strings.ToLower(p[3]), "milli")):
		return p[1] + "m"
	case p[2] == "":
		return p[1]
	}
	return "2, 0.5 or 500m"
}
