package predict

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

func file(name string) ([]byte, error) {
	switch name {
	case "rows.json":
		return []byte(" [[1, 2.5], [3, 4]]\n"), nil
	case "letter.txt":
		return []byte("Dear Ann,\n"), nil
	case "picture.png":
		return []byte("\x89PNG\x00"), nil
	}
	return nil, os.ErrNotExist
}

func TestInputs(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		`n=5`:                    `{"name":"n","datatype":"INT32","shape":[1],"data":[5]}`,
		`n=-2147483649`:          `{"name":"n","datatype":"INT64","shape":[1],"data":[-2147483649]}`,
		`n=0.10`:                 `{"name":"n","datatype":"FP64","shape":[1],"data":[0.10]}`,
		`n=1e3`:                  `{"name":"n","datatype":"FP64","shape":[1],"data":[1e3]}`,
		`n=007`:                  `{"name":"n","datatype":"str","data":"007"}`,
		`n=[1,2,3]`:              `{"name":"n","datatype":"INT32","shape":[3],"data":[1,2,3]}`,
		`n=[1,2.5]`:              `{"name":"n","datatype":"FP64","shape":[2],"data":[1,2.5]}`,
		`n=[[1,2,3],[4,5,6]]`:    `{"name":"n","datatype":"INT32","shape":[2,3],"data":[1,2,3,4,5,6]}`,
		`n=[]`:                   `{"name":"n","datatype":"FP64","shape":[0],"data":[]}`,
		`n=[[],[]]`:              `{"name":"n","datatype":"FP64","shape":[2,0],"data":[]}`,
		`n=[[1],[2,3]]`:          `{"name":"n","datatype":"dict","data":[[1],[2,3]]}`,
		`n=[1,"a"]`:              `{"name":"n","datatype":"dict","data":[1,"a"]}`,
		`n=["a","b"]`:            `{"name":"n","datatype":"str","shape":[2],"data":["a","b"]}`,
		`n=[true,false]`:         `{"name":"n","datatype":"BOOL","shape":[2],"data":[true,false]}`,
		`n={"a":[1]}`:            `{"name":"n","datatype":"dict","data":{"a":[1]}}`,
		`n="5"`:                  `{"name":"n","datatype":"str","data":"5"}`,
		`n=five = 5`:             `{"name":"n","datatype":"str","data":"five = 5"}`,
		`n=`:                     `{"name":"n","datatype":"str","data":""}`,
		`n=true`:                 `{"name":"n","datatype":"str","data":"true"}`,
		`n=null`:                 `{"name":"n","datatype":"str","data":"null"}`,
		`n={a: 1}`:               `{"name":"n","datatype":"str","data":"{a: 1}"}`,
		`n=1 2`:                  `{"name":"n","datatype":"str","data":"1 2"}`,
		`n=@rows.json`:           `{"name":"n","datatype":"FP64","shape":[2,2],"data":[1,2.5,3,4]}`,
		`n=@letter.txt`:          `{"name":"n","datatype":"str","data":"Dear Ann,\n"}`,
		`n:str=5`:                `{"name":"n","datatype":"str","data":"5"}`,
		`n:str=@rows.json`:       `{"name":"n","datatype":"str","data":" [[1, 2.5], [3, 4]]\n"}`,
		`n:FP32=5`:               `{"name":"n","datatype":"FP32","shape":[1],"data":[5]}`,
		`n:UINT8=[[1],[2]]`:      `{"name":"n","datatype":"UINT8","shape":[2,1],"data":[1,2]}`,
		`n:BOOL=true`:            `{"name":"n","datatype":"BOOL","shape":[1],"data":[true]}`,
		`n:dict=[1]`:             `{"name":"n","datatype":"dict","data":[1]}`,
		`n:FILE=box/g/@a.png`:    `{"name":"n","datatype":"FILE","data":"box/g/@a.png"}`,
		`a:b:FILE=box/g/a=b.png`: `{"name":"a:b","datatype":"FILE","data":"box/g/a=b.png"}`,
	} {
		in, err := ParseInput(arg, file)
		if err != nil {
			t.Errorf("%s: %v", arg, err)
			continue
		}
		b, err := json.Marshal(in)
		if err != nil || string(b) != want {
			t.Errorf("%s: %s (%v), want %s", arg, b, err, want)
		}
	}
	for arg, want := range map[string]string{
		`n`:                  "NAME=VALUE, NAME=@FILE or NAME:DATATYPE=VALUE is wanted",
		`=5`:                 "is wanted",
		`n:FP33=5`:           `unknown datatype "FP33"; known are FP32, `,
		`n:FP32=five`:        "input n: a value of FP32 must be JSON",
		`n:FP32="five"`:      `value 0, "five", is no FP32`,
		`n:INT8=[1,2.5]`:     "value 1, 2.5, is no INT8",
		`n:FP32=[[1],[2,3]]`: "not of one length and depth",
		`n:FP32=[1,[2]]`:     "not of one length and depth",
		`n:dict=a`:           "must be JSON",
		`n=@none`:            "input n: file does not exist",
		`n=@picture.png`:     "write n:FILE=<box>/<group>/<file>",
		`n:FP32=` + strings.Repeat("[", 40) + strings.Repeat("]", 40): "more than 32 deep",
	} {
		if in, err := ParseInput(arg, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want %q", arg, in, err, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	const document = "{\n  \"ключ\": [1, {\"a/b\": 2}], \"inputs\": [\n" +
		"    {\"name\": \"x\"},\n    {\"name\" : 5}\n  ]\n}\n"
	for pointer, want := range map[string]string{
		"": "1:1", "/inputs": "2:38", "/inputs/0": "3:5", "/inputs/0/data": "3:5", "/inputs/1/name": "4:15",
		"/inputs/7": "2:38", "/ключ/1/a~1b": "2:23", "/inputs/1/name/deeper": "4:15", "/none": "1:1",
	} {
		if got := Place([]byte(document), pointer); got != want {
			t.Errorf("%q: %s, want %s", pointer, got, want)
		}
	}
	if got := Place([]byte(`{"inputs" 5}`), "/inputs/0"); got != "" {
		t.Errorf("no JSON: %s", got)
	}
}

func FuzzPlace(f *testing.F) {
	f.Add([]byte(`{"inputs": [{"name": "x"}]}`), "/inputs/0/name")
	f.Fuzz(func(_ *testing.T, document []byte, pointer string) { Place(document, pointer) })
}

func FuzzParseInput(f *testing.F) {
	f.Add("n:FP32=[[1,2],[3,4]]")
	f.Fuzz(func(t *testing.T, arg string) {
		in, err := ParseInput(arg, file)
		if err != nil {
			return
		}
		if _, err := json.Marshal(in); err != nil {
			t.Errorf("%q: %v", arg, err)
		}
	})
}

func ExampleText() {
	fmt.Print(Text([]byte(`{"outputs": [
		{"name": "digit", "datatype": "INT32", "shape": [1], "data": [6]},
		{"name": "probabilities", "datatype": "FP32", "shape": [2, 6], "data": [0.10, 0, 0, 0, 0, 0.9, 1, 0, 0, 0, 0, 0]},
		{"name": "label", "datatype": "str", "data": "six <6>"},
		{"name": "box", "datatype": "dict", "data": {"left": 5}}
	]}`)))
	fmt.Print(Text([]byte("{\"outputs\": [{\"name\": \"steers\", \"data\": \"a\\u001b[31mb\"}]}")))
	fmt.Print(Text([]byte(`{"detail": "something else"}`)))
	// Output:
	// digit: 6
	// probabilities: [0.10, 0, 0, 0, 0, 0.9, 1, 0, 0, 0, … 12 in all] [2 6]
	// label: six <6>
	// box: {"left":5}
	// steers: a\x1b[31mb
	// {"detail": "something else"}
}
