package stories

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

const (
	hello = `{"inputs":[{"name":"say","data":"hello"}]}`
	other = "https://other.example.org"
	site  = "https://app.example.org"
)

// says is a call of the speaker.
func says(word string) string { return strings.Replace(hello, "hello", word, 1) }

// calls: who calls, and what is no call.
var calls = []story{
	{"a user is told by name", func(k *teller) { k.post("/speak/predict", hello) }},
	{"an API that keeps to itself who calls", func(k *teller) { k.post("/whisper/predict", hello) }},
	{"an API for everybody", func(k *teller) {
		k.call(call{method: http.MethodPost, path: "/open/predict", body: hello})
	}},
	{"nobody is whom a header says", func(k *teller) {
		k.call(call{method: http.MethodPost, path: "/open/predict", body: hello,
			header: http.Header{"X-Forwarded-User": {"ann"}, "Unip-Caller": {"ann"}}})
		k.call(call{user: "ann", method: http.MethodPost, path: "/speak/predict", body: hello,
			header: http.Header{"X-Forwarded-User": {"boris"}}})
	}},
	{"a caller without a password", func(k *teller) {
		k.call(call{method: http.MethodPost, path: "/speak/predict", body: hello})
		k.call(call{method: http.MethodGet, path: "/files/"})
		k.call(call{method: http.MethodGet, path: "/pipelines/runs"})
	}},
	{"a wrong password", func(k *teller) {
		k.call(call{user: "emil", password: "guessed", method: http.MethodPost, path: "/speak/predict", body: hello})
		k.call(call{user: "emil", method: http.MethodPost, path: "/speak/predict", body: hello})
	}},
	{"what is not there", func(k *teller) {
		k.get("/nothing/predict")
		k.get("/hidden/predict")
		k.get("/speak/nothing")
		k.get("/pipelines/nothing")
	}},
	{"a method that is not taken", func(k *teller) {
		k.get("/speak/predict")
		k.call(call{user: "ann", method: http.MethodDelete, path: "/pipelines/runs"})
		k.call(call{user: "ann", method: http.MethodPatch, path: "/files/userdata/methods/a.txt"})
	}},
	{"a page of another site", func(k *teller) {
		page := func(from, relation string) {
			k.call(call{user: "ann", method: http.MethodPost, path: "/speak/predict", body: hello,
				header: http.Header{"Origin": {from}, "Sec-Fetch-Site": {relation}}})
		}
		page(other, "cross-site")
		page(site, "cross-site")
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/pages/a.txt",
			header: http.Header{"Origin": {site}, "Sec-Fetch-Site": {"cross-site"}}})
	}},
	{"a browser asks before it calls", func(k *teller) {
		ask := func(path, from string) {
			k.call(call{method: http.MethodOptions, path: path, header: http.Header{"Origin": {from},
				"Access-Control-Request-Method":  {http.MethodPost},
				"Access-Control-Request-Headers": {"authorization,content-type"}}})
		}
		ask("/speak/predict", site)
		ask("/speak/predict", other)
		ask("/whisper/predict", site)
	}},
	{"specifications", func(k *teller) {
		for _, path := range []string{"/speak", "/count", "/train", "/files", "/pipelines"} {
			k.specification(path + "/openapi.json")
		}
	}},
}

// functions: predict and infer.
var functions = []story{
	{"numbers of the docstring's type", func(k *teller) {
		k.post("/speak/predict", `{"inputs":[{"name":"say","data":"double"},{"name":"numbers","data":[1,2.5,null]}]}`)
		k.post("/speak/predict",
			`{"inputs":[{"name":"say","data":"double"},{"name":"numbers","datatype":"INT32","data":[1,2]}]}`)
	}},
	{"chosen outputs", func(k *teller) {
		k.post("/speak/predict", `{"inputs":[{"name":"say","data":"hello"}],"output_fields":[{"name":"said"}]}`)
		k.post("/speak/predict", `{"inputs":[{"name":"say","data":"hello"}],"output_fields":[{"name":"numbers"}]}`)
	}},
	{"a body as gzip", func(k *teller) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(hello))
		if err == nil {
			err = z.Close()
		}
		if err != nil {
			k.Fatal(err)
		}
		k.call(call{user: "ann", method: http.MethodPost, path: "/speak/predict", body: b.String(),
			header: http.Header{"Content-Encoding": {"gzip"}}})
		k.call(call{user: "ann", method: http.MethodPost, path: "/speak/predict", body: hello,
			header: http.Header{"Content-Encoding": {"br"}}})
	}},
	{"a body that is not JSON", func(k *teller) {
		k.post("/speak/predict", `{"inputs": [}`)
		k.post("/speak/predict", `[]`)
		k.call(call{user: "ann", method: http.MethodPost, path: "/speak/predict", body: "say=hello",
			header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	}},
	{"wrong inputs", func(k *teller) {
		k.post("/speak/predict", `{"inputs":[]}`)
		k.post("/speak/predict", `{"inputs":[{"name":"say","data":7}]}`)
		k.post("/speak/predict", `{"inputs":[{"name":"say","data":"double"},{"name":"numbers","data":["a"]}]}`)
		k.post("/speak/predict", `{"inputs":[{"data":1},{"name":"say"}],"more":1}`)
	}},
	{"a function refuses", func(k *teller) { k.post("/speak/predict", says("refuse")) }},
	{"a function fails", func(k *teller) { k.post("/speak/predict", says("raise")) }},
	{"a function answers with what it has not promised", func(k *teller) { k.post("/speak/predict", says("wrong")) }},
	{"outputs one by one, and a function that dies", func(k *teller) {
		count := func(to int) {
			k.call(call{user: "ann", method: http.MethodPost, path: "/count/predict",
				body:   fmt.Sprintf(`{"inputs":[{"name":"to","data":[%d]}]}`, to),
				header: http.Header{"Accept": {"text/event-stream"}}})
		}
		count(3)
		k.post("/count/predict", `{"inputs":[{"name":"to","data":[2]}]}`)
		k.post("/count/predict", `{"inputs":[{"name":"to","data":[-1]}]}`)
		count(1)
	}},
	{"the Open Inference Protocol", func(k *teller) {
		k.get("/speak/v2")
		k.get("/speak/v2/health/ready")
		k.get("/speak/v2/models/speaker")
		k.get("/speak/v2/models/speaker/ready")
		k.get("/speak/v2/models/nothing")
		k.post("/speak/v2/models/speaker/infer", `{"id":"7","inputs":[{"name":"say","datatype":"BYTES","shape":[1],`+
			`"data":["double"]},{"name":"numbers","datatype":"FP32","shape":[2],"data":[1,2]}]}`)
		k.post("/speak/v2/models/speaker/infer",
			`{"inputs":[{"name":"say","datatype":"BYTES","shape":[2],"data":["double"]}]}`)
	}},
	{"a file goes in, and a file comes out", func(k *teller) {
		k.upload("ann", "userdata/letters/a.txt", "small letters\n")
		in := func(path string) string {
			return `{"inputs":[{"name":"say","data":"capitals"},{"name":"file","datatype":"FILE","data":"` + path + `"}]}`
		}
		a := k.post("/speak/predict", in("userdata/letters/a.txt"))
		_, path, _ := strings.Cut(string(a.body), `"data":"userdata/`)
		path, _, _ = strings.Cut(path, `"`)
		k.shows("ann", "userdata/"+path)
		k.get("/files/userdata/" + path)
		k.post("/speak/predict", in("letters/a.txt"))
		k.post("/speak/predict", in("userdata/letters/none.txt"))
		k.post("/speak/predict", in("weights/letters/a.txt"))
		k.call(call{user: "boris", method: http.MethodPost, path: "/speak/predict", body: in("userdata/letters/a.txt")})
		k.call(call{method: http.MethodPost, path: "/open/predict", body: in("userdata/letters/a.txt")})
		k.post("/count/predict", `{"inputs":[{"name":"to","datatype":"FILE","data":"userdata/letters/a.txt"}]}`)
	}},
	{"a developer puts a model", func(k *teller) {
		k.post("/note/predict", `{}`)
		a := k.call(call{user: "dora", method: http.MethodPut, path: "/files/weights:/notes/note.txt?size=5"})
		k.follow(http.MethodPut, a.from(k, "presigned_put_url"), "first", nil)
		k.predicts("the model", "/note/predict", `{}`, "first")
		k.call(call{user: "dora", method: http.MethodPut, path: "/files/weights:/notes/note.txt?size=6"})
		k.call(call{user: "dora", method: http.MethodPut, path: "/files/weights:/notes/note.txt"})
		k.call(call{user: "dora", method: http.MethodPut, path: "/files/weights:/users/ann/a.txt?size=6"})
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/weights:/notes/note.txt?size=6"})
		a = k.call(call{user: "dora", method: http.MethodPut, path: "/files/weights:/notes/note.txt?size=6&overwrite=true"})
		k.follow(http.MethodPut, a.from(k, "presigned_put_url"), "second", nil)
		k.predicts("the newer model", "/note/predict", `{}`, "second")
	}},
}

// files: the file API and its links.
var files = []story{
	{"the module's boxes", func(k *teller) { k.get("/files/") }},
	{"a file up and down", func(k *teller) {
		a := k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/up/oak leaf.txt"})
		k.follow(http.MethodPut, a.from(k, "presigned_put_url"), "green\n", http.Header{"Content-Type": {"text/plain"}})
		a = k.get("/files/userdata/up/oak leaf.txt")
		link := a.from(k, "presigned_get_url")
		k.follow(http.MethodGet, link, "", nil)
		k.follow(http.MethodGet, link, "", http.Header{"Range": {"bytes=1-3"}})
		k.follow(http.MethodGet, link, "", http.Header{"If-None-Match": {`"` + a.from(k, "etag") + `"`}})
		k.call(call{user: "ann", method: http.MethodHead, path: "/files/userdata/up/oak leaf.txt"})
		a = k.get("/files/userdata/up/oak leaf.txt?redirect=true&expires=60")
		k.follow(http.MethodGet, a.header.Get("Location"), "", nil)
		k.follow(http.MethodPut, link, "not with this link", nil)
		k.follow(http.MethodGet, strings.Replace(link, "oak", "elm", 1), "", nil)
	}},
	{"a name of many letters", func(k *teller) {
		const path = "userdata/up/%D0%A4%20%24%28HOME%29%20%2B%26%3F%231.csv"
		k.upload("ann", path, "1\n")
		k.get("/files/" + path)
		k.get("/files/userdata/up/" + strings.Repeat("a", 256))
	}},
	{"a file that is there", func(k *teller) {
		k.upload("ann", "userdata/twice/a.txt", "one")
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/twice/a.txt"})
		a := k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/twice/a.txt?overwrite=true"})
		k.follow(http.MethodPut, a.from(k, "presigned_put_url"), "two", nil)
		k.shows("ann", "userdata/twice/a.txt")
	}},
	{"a link for so many bytes", func(k *teller) {
		a := k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/sized/a.txt?size=5"})
		link := a.from(k, "presigned_put_url")
		k.follow(http.MethodPut, link, "123456", nil)
		k.follow(http.MethodPut, link, "12345", nil)
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/sized/b.txt?size=many"})
	}},
	{"what lies in a group", func(k *teller) {
		for _, name := range []string{"b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", "e.txt"} {
			k.upload("ann", "userdata/group/"+name, name)
		}
		k.get("/files/userdata/group/")
		a := k.get("/files/userdata/group/?limit=2")
		next := a.from(k, "next")
		k.named(next, "next")
		k.get("/files/userdata/group/?limit=2&continue=" + next)
		k.get("/files/userdata/group/sub")
		k.get("/files/userdata/group/?limit=0")
		k.get("/files/userdata/empty/")
		k.call(call{user: "ann", method: http.MethodHead, path: "/files/userdata/group/"})
	}},
	{"files of somebody else", func(k *teller) {
		k.upload("ann", "userdata/private/a.txt", "mine")
		boris := func(method, path string) { k.call(call{user: "boris", method: method, path: path}) }
		boris(http.MethodGet, "/files/userdata/private/a.txt")
		boris(http.MethodGet, "/files/userdata/private/")
		boris(http.MethodDelete, "/files/userdata/private/a.txt")
		boris(http.MethodGet, "/files/userdata/%2e%2e/ann/private/a.txt")
		k.shows("ann", "userdata/private/a.txt")
	}},
	{"a file that is removed", func(k *teller) {
		k.upload("ann", "userdata/gone/a.txt", "a")
		k.upload("ann", "userdata/gone/sub/b.txt", "b")
		remove := func(path string) { k.call(call{user: "ann", method: http.MethodDelete, path: path}) }
		remove("/files/userdata/gone/a.txt")
		k.get("/files/userdata/gone/a.txt")
		remove("/files/userdata/gone/a.txt")
		remove("/files/userdata/gone/")
		k.get("/files/userdata/gone/")
	}},
	{"a page of HTML is for keeping, not for showing", func(k *teller) {
		k.upload("ann", "userdata/pages/a.html", "<script>alert(1)</script>")
		a := k.get("/files/userdata/pages/a.html")
		k.follow(http.MethodGet, a.from(k, "presigned_get_url"), "", nil)
	}},
	{"places that cannot be", func(k *teller) {
		k.get("/files/nothing/a/b.txt")
		k.get("/files/userdata/a//b.txt")
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/root.txt"})
		k.call(call{user: "ann", method: http.MethodPut, path: "/files/userdata/a/"})
	}},
}

// begins starts a run by a call, and gives its id.
func (k *teller) begins(user, pipeline, body, name string) string {
	k.Helper()
	a := k.do(call{user: user, method: http.MethodPost, path: "/" + pipeline + "/run", body: body})
	if a.status != http.StatusAccepted {
		k.Fatalf("%s answers %d %s", pipeline, a.status, a.body)
	}
	id := a.from(k, "run_id")
	k.named(id, name)
	k.note("%s starts %s", user, k.plain(pipeline))
	return id
}

// does runs the pipeline on a file that says what to do, and shows the run when it has ended.
func (k *teller) does(pipeline, group, what string) string {
	k.Helper()
	k.upload("ann", "userdata/"+group+"/task.txt", what)
	id := k.begins("ann", pipeline, `{"inputs":{"table":"userdata/`+group+`/task.txt"}}`, "run")
	k.ended("ann", id)
	k.get("/pipelines/runs/" + id)
	return id
}

// table is one that can be learned from: points around the middles of three kinds.
func table(seed uint64, rows int) (csv, points, kinds string) {
	random := rand.New(rand.NewPCG(seed, 1))
	var lines, numbers, known []string
	for i := range rows {
		kind := i % 3
		x, y := float64(10*kind)+random.Float64(), float64(5*kind*kind)-random.Float64()
		lines = append(lines, fmt.Sprintf("%.3f,%.3f,%d", x, y, kind))
		numbers = append(numbers, fmt.Sprintf("%.3f,%.3f", x, y))
		known = append(known, strconv.Itoa(kind))
	}
	return strings.Join(lines, "\n") + "\n", strings.Join(numbers, ","), strings.Join(known, ",")
}

// first are told before the others: what they begin with others change.
var first = []story{
	{"an upload trains the model, which answers", func(k *teller) {
		_, points, kinds := table(9, 100)
		ask := `{"inputs":[{"name":"points","data":[` + points + `]}]}`
		k.post("/kinds/predict", ask)
		csv, _, _ := table(1, 300)
		k.upload("clara", "userdata/incoming/points.csv", csv)
		var id string
		k.await("the run of the upload", func() bool {
			a := k.do(call{user: "clara", method: http.MethodGet, path: "/pipelines/runs?pipeline=train"})
			_, rest, found := strings.Cut(string(a.body), `"run_id":"`)
			id, _, _ = strings.Cut(rest, `"`)
			return found
		})
		k.named(id, "run")
		k.ended("clara", id)
		clara := func(path string) { k.call(call{user: "clara", method: http.MethodGet, path: path}) }
		clara("/pipelines/runs/" + id)
		clara("/pipelines/runs/" + id + "/logs?stage=prepare")
		k.shows("clara", "userdata/train/"+id+"/report/report.txt")
		if got := k.predicts("the model", "/kinds/predict", ask, ""); !strings.Contains(string(got.body), kinds) {
			k.Errorf("the model does not know all 100 points")
		}
		k.get("/pipelines/runs/" + id)
		clara("/pipelines/runs?pipeline=train")
	}},
}

// runs: pipelines and what they leave.
var runs = []story{
	{"the module's pipelines", func(k *teller) { k.get("/pipelines") }},
	{"uploads that start a run, and one that does not", func(k *teller) {
		csv, _, _ := table(2, 30)
		started := func(most int) {
			k.await("runs of uploads", func() bool {
				a := k.do(call{user: "dora", method: http.MethodGet, path: "/pipelines/runs?status=Succeeded"})
				return strings.Count(string(a.body), `"run_id"`) >= most
			})
		}
		k.upload("dora", "userdata/incoming/points.txt", csv)
		k.upload("dora", "userdata/other/points.csv", csv)
		k.upload("dora", "userdata/incoming/of/may/points.csv", csv)
		started(1)
		k.secondAfter("dora", "userdata/incoming/of/may/points.csv")
		k.upload("dora", "userdata/incoming/of/may/points.csv", csv) // the same once more
		started(2)
		a := k.do(call{user: "dora", method: http.MethodGet, path: "/pipelines/runs"})
		for i, part := range strings.Split(string(a.body), `"run_id":"`)[1:] {
			id, _, _ := strings.Cut(part, `"`)
			k.named(id, fmt.Sprintf("run %d", i))
		}
		k.call(call{user: "dora", method: http.MethodGet, path: "/pipelines/runs"})
	}},
	{"a run by hand, and where its output goes", func(k *teller) {
		k.upload("ann", "userdata/hand/task.txt", "write by hand")
		a := k.do(call{user: "ann", method: http.MethodPost, path: "/task/run",
			body: `{"inputs":{"table":"userdata/hand/task.txt"},"outputs":{"result":"userdata/results/"}}`})
		id := a.from(k, "run_id")
		k.named(id, "run")
		fmt.Fprintf(&k.text, "> POST /task/run by ann\n")
		k.write(a)
		k.ended("ann", id)
		k.get("/pipelines/runs/" + id)
		k.shows("ann", "userdata/results/result.txt")
		k.get("/pipelines/runs/" + id + "/logs")
	}},
	{"the same run is asked for twice", func(k *teller) {
		k.upload("ann", "userdata/key/task.txt", "write by key")
		ask := func(input string) *answer {
			return k.do(call{user: "ann", method: http.MethodPost, path: "/pipelines/task/run",
				body:   `{"inputs":[{"name":"table","path":"userdata/key/` + input + `"}]}`,
				header: http.Header{"Idempotency-Key": {"once"}}})
		}
		id := ask("task.txt").from(k, "run_id")
		k.named(id, "run")
		k.ended("ann", id)
		for _, input := range []string{"task.txt", "other.txt"} {
			fmt.Fprintf(&k.text, "> POST /pipelines/task/run by ann with the same key and %s\n", input)
			k.write(ask(input))
		}
	}},
	{"a run that cannot be", func(k *teller) {
		k.upload("ann", "userdata/wrong/photo.png", "no table")
		for _, body := range []string{`{}`, `{"inputs":{"table":"userdata/wrong/none.csv"}}`,
			`{"inputs":{"table":"userdata/wrong/photo.png"}}`, `{"inputs":{"table":"userdata/wrong/"}}`,
			`{"inputs":{"table":"userdata/wrong/photo.png","more":"a/b/c"}}`, `{"inputs":{"table":"nothing/a/b.csv"}}`,
			`{"inputs":{"table":"userdata/wrong/photo.png"},"outputs":{"model":"userdata/a/b.txt"}}`, `{"inputs":1}`} {
			k.note("with %s", body)
			k.post("/train/run", body)
		}
		k.post("/pipelines/nothing/run", `{}`)
		k.post("/pipelines/after/run", `{}`)
	}},
	{"a folder goes in", func(k *teller) {
		k.upload("ann", "userdata/folder/task.txt", "write of a folder")
		id := k.begins("ann", "task", `{"inputs":{"table":"userdata/folder/"}}`, "run")
		k.ended("ann", id)
		k.get("/pipelines/runs/" + id)
		k.shows("ann", "userdata/task/"+id+"/result/result.txt")
	}},
	{"a stage knows for whom it works", func(k *teller) {
		id := k.does("task", "whose", "user")
		k.shows("ann", "userdata/task/"+id+"/result/user.txt")
		id = k.does("again", "whose", "user")
		k.get("/files/userdata/again/" + id + "/result/")
	}},
	{"a run goes on with the next pipeline", func(k *teller) {
		id := k.does("again", "chain", "write for the next")
		k.shows("ann", "userdata/again/"+id+"/said/said.txt")
	}},
	{"a stage fails", func(k *teller) {
		id := k.does("task", "fails", "fail")
		k.get("/pipelines/runs/" + id + "/logs")
	}},
	{"a stage fails, and fails again", func(k *teller) {
		id := k.does("again", "again", "fail")
		k.get("/pipelines/runs/" + id + "/logs?stage=again/work&attempt=1")
		k.get("/pipelines/runs/" + id + "/logs?stage=again/work&attempt=3")
		k.get("/pipelines/runs/" + id + "/logs?stage=none")
	}},
	{"a stage takes too long", func(k *teller) { k.does("late", "late", "sleep") }},
	{"a stage needs too much memory", func(k *teller) { k.does("task", "eats", "eat") }},
	{"a stage leaves a link", func(k *teller) { k.does("task", "links", "link") }},
	{"a run is cancelled", func(k *teller) {
		k.upload("ann", "userdata/cancel/task.txt", "sleep")
		id := k.begins("ann", "task", `{"inputs":{"table":"userdata/cancel/task.txt"}}`, "run")
		k.await("the stage", func() bool {
			a := k.do(call{user: "ann", method: http.MethodGet, path: "/pipelines/runs/" + id + "/logs?stage=work"})
			return strings.Contains(string(a.body), "asked to sleep")
		})
		k.post("/pipelines/runs/"+id+"/cancel", "")
		k.ended("ann", id)
		k.get("/pipelines/runs/" + id)
		k.post("/pipelines/runs/"+id+"/cancel", "")
	}},
	{"a run is followed to its end", func(k *teller) {
		k.upload("ann", "userdata/events/task.txt", "write to the end")
		id := k.begins("ann", "task", `{"inputs":{"table":"userdata/events/task.txt"}}`, "run")
		a := k.do(call{user: "ann", method: http.MethodGet, path: "/pipelines/runs/" + id + "/events"})
		all := strings.Split(strings.TrimSpace(string(a.body)), "\n\n")
		last := all[len(all)-1]
		_, data, _ := strings.Cut(last, "data: ")
		k.note("%s, and at the end:", a.header.Get("Content-Type"))
		k.write(&answer{a.status, nil, []byte(data)})
		a = k.do(call{user: "ann", method: http.MethodGet, path: "/pipelines/runs/" + id + "/logs?follow=true"})
		k.write(a)
	}},
	{"runs of somebody else", func(k *teller) {
		id := k.does("task", "private", "write mine")
		for _, path := range []string{"", "/logs", "/events"} {
			k.call(call{user: "boris", method: http.MethodGet, path: "/pipelines/runs/" + id + path})
		}
		k.call(call{user: "boris", method: http.MethodPost, path: "/pipelines/runs/" + id + "/cancel"})
		k.call(call{user: "boris", method: http.MethodGet, path: "/files/userdata/task/" + id + "/result/result.txt"})
		k.call(call{user: "boris", method: http.MethodGet, path: "/pipelines/runs"})
	}},
	{"one's own runs", func(k *teller) {
		for i, what := range []string{"write one", "fail"} {
			k.upload("emil", "userdata/own/task.txt", what)
			id := k.begins("emil", "task", `{"inputs":{"table":"userdata/own/task.txt"}}`, fmt.Sprintf("run %d", i+1))
			k.ended("emil", id)
		}
		for _, query := range []string{"?status=Failed", "?pipeline=task&status=Succeeded", "?pipeline=train",
			"?pipeline=none", "?status=Done", "?limit=0", "?continue=wrong", "?pipeline=a/b"} {
			k.call(call{user: "emil", method: http.MethodGet, path: "/pipelines/runs" + query})
		}
		k.get("/pipelines/runs/none")
		k.get("/pipelines/runs/A%20b")
	}},
	{"a run every minute", func(k *teller) {
		k.predicts("the clock", "/clock/predict", `{}`, "")
		k.call(call{user: "boris", method: http.MethodGet, path: "/pipelines/runs?pipeline=clock-work"})
	}},
}
