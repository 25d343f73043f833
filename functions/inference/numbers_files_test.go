//go:build integration

package main

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// A call may have long lists and files.
func TestLongListsOfNumbersBesideFiles(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visits")
	s.put(t, "visits", "users/ann/file_groups/in/a.txt", "text")
	c, _ := startFiles(t, numbersSeen, withBoxes(t, s, "visits"))
	body := `{"inputs":[{"name":"f","datatype":"FILE","data":"in/a.txt"},{"name":"x","data":[` + strings.Repeat("0.5,",
		2000) + `1]}]}`
	data, taken := seen(t, c.predict(200, body, signed(t, "ann")...).body)
	if want := sum("['text', [" + strings.Repeat("0.5, ", 2000) + "1]]"); data != want || taken != 1 {
		t.Errorf("%s with %d taken, want %s", data, taken, want)
	}
}

// An answer may have long lists and files.
func TestLongListsOfNumbersAnsweredBesideFiles(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visits")
	c, _ := startFiles(t, numbersGiven, withBoxes(t, s, "visits"))
	a := c.predict(200, `{"inputs":[{"name":"w","data":"floats"},{"name":"and a file","data":1}]}`, signed(t, "ann")...)
	if len(a.Outputs) != 4 || !reflect.DeepEqual(a.Outputs[1].Data, a.Outputs[2].Data) ||
		len(fmt.Sprint(a.Outputs[1].Data)) < 5000 || len(s.keys(t, "visits")) != 1 {
		t.Errorf("%.300s", a.body)
	}
}
