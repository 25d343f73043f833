package main

import (
	"strings"
	"testing"
)

const callable = `
import asyncio, collections, dataclasses, enum, functools, os, sys
def documented(f):
    f.__doc__ = """Calls.

    :param outputs.n: a number
    :type outputs.n: INT32
    """
    return f
class Service:
    def __init__(self): self.n = 1
    @documented
    def method(self, inputs): return {"n": self.n}
    @documented
    def __call__(self, inputs): return {"n": self.n}
    @classmethod
    @documented
    def of_class(cls, inputs): return {"n": 1}
    @staticmethod
    @documented
    def static(inputs): return {"n": 1}
    async def later(self, inputs): return {"n": self.n}
service = Service()
@documented
def base(inputs, by): return {"n": by}
partial = functools.partial(base, by=1)
@documented
def plain(inputs): return {"n": 1}
def bare(f):
    def wrapper(*args, **kwargs): return f(*args, **kwargs)
    return wrapper
decorated = bare(bare(plain))
cached = functools.lru_cache(None)(documented(lambda: {"n": 1}))
keywords = documented(lambda *, inputs, model=None: {"n": 1})
method_of_partial = functools.partial(service.method)
@documented
def generator(inputs): yield {"name": "n", "data": 1}
@documented
async def coroutine(inputs): return {"n": 1}
@documented
async def async_generator(inputs):
    yield {"n": 1}
bad = bare(lambda x: x)
`

// Whatever can be called with the arguments of predict is called so, and its docstring is read.
func TestEveryCallable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"service.method", "service", "Service.of_class", "Service.static", "partial",
		"decorated",
		"cached", "keywords", "method_of_partial", "generator", "coroutine", "async_generator"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, callable, name).awaitReady()
			want := `{"outputs":[{"name":"n","datatype":"INT32","shape":[1],"data":[1]}]}`
			if a := c.predict(200, `{"inputs":[]}`); !sameJSON(t, a.body, want) {
				t.Errorf("%s, want %s", a.body, want)
			}
			a := c.infer(200, `{"inputs":[]}`, 0)
			if len(a.Outputs) != 1 || a.Outputs[0].Datatype != "INT32" {
				t.Errorf("%s", a.body)
			}
		})
	}
}

// What cannot be called is refused at the start, with what to name instead.
func TestWhatCannotBeCalled(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{
		"Service":        "importing m:Service: TypeError: it is a class: name a function, an object that can be called, or its method",
		"Service.method": "importing m:Service.method: TypeError: the function wants the argument 'self', it is a method of a class",
		"bad":            "importing m:bad: TypeError: the function wants the argument 'x'; it is called with some of",
		"base":           "importing m:base: TypeError: the function wants the argument 'by'; it is called with some of",
		"service.n":      "importing m:service.n: TypeError: m:service.n is not a function",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t, callable, name).wantEnd(reason)
		})
	}
}

// A client that a coroutine has opened lives as long as its worker: there is one event loop.
func TestOneEventLoop(t *testing.T) {
	t.Parallel()
	c := start(t, `
import asyncio
class Client:
    loop = None
    async def get(self, x):
        if self.loop is None:
            self.loop = asyncio.get_running_loop()
            self.queue = asyncio.Queue()
            self.task = asyncio.create_task(self.work())
        done = self.loop.create_future()
        await self.queue.put((x, done))
        return await asyncio.wait_for(done, 5)
    async def work(self):
        while True:
            x, done = await self.queue.get()
            done.set_result(x * 2)
async def load(path):
    client = Client()
    await client.get(1)
    return client
client = Client()
async def f(inputs):
    asyncio.get_event_loop()
    return {"twice": await client.get(inputs[0]["data"][0])}
def sync(inputs): return asyncio.run(f([{"data": [1]}]))
`, "f").awaitReady()
	for range 3 {
		if a := c.predict(200, `{"inputs":[{"name":"x","datatype":"FP32","data":[1]}]}`); a.number() != 2 {
			t.Errorf("%s", a.body)
		}
	}
}

// A function that yields gives an output with each item, or several, by both protocols.
func TestGenerators(t *testing.T) {
	t.Parallel()
	for _, def := range []string{"def", "async def"} {
		c := start(t, def+` f(inputs):
    yield {"name": "word", "datatype": "str", "data": "oak"}
    yield {"word": "elm", "n": 2}
    if inputs: raise KeyError("the reason")
`, "f").awaitReady()
		want := `{"outputs":[{"name":"word","datatype":"str","data":"oak"},{"name":"word","datatype":"str","data":"elm"},{"name":"n","datatype":"INT64","shape":[1],"data":[2]}]}`
		if a := c.predict(200, `{}`); !sameJSON(t, a.body, want) {
			t.Errorf("%s, want %s", a.body, want)
		}
		if a := c.infer(200, `{"inputs":[]}`, 0); len(a.Outputs) != 3 {
			t.Errorf("%s", a.body)
		}
		if a := c.predict(500, `{"inputs":[{"name":"x","data":1}]}`); a.Detail != "KeyError: 'the reason'" {
			t.Errorf("%s", a.body)
		}
	}
}

// A function refuses a call by an exception with a status and a detail, of any class.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := start(t, `
class Refused(ValueError):
    status = 422
    def __init__(self, detail, **more):
        self.detail = detail
        self.__dict__.update(more)
class HTTPException(Exception):
    def __init__(self, status_code, detail): self.status_code, self.detail = status_code, detail
class Upstream(Exception):
    status = 401
class Odd(Exception):
    @property
    def status(self): raise RuntimeError()
    def __str__(self): raise RuntimeError()
def f(inputs):
    raise eval(inputs[0]["data"] if isinstance(inputs[0]["data"], str) else inputs[0]["data"][0])
`, "f").awaitReady()
	for _, x := range []struct {
		raised string
		status int
		want   string
	}{
		{`Refused("too dark")`, 422, "refused: too dark"},
		{`Refused("too dark", pointer="/inputs/0/data")`, 422, "refused: too dark /inputs/0/data"},
		{`Refused("busy", status=503)`, 503, "refused: busy"},
		{`HTTPException(404, "no such tree")`, 404, "refused: no such tree"},
		{`Refused("x", status=200)`, 500, "function-error: Refused"},
		{`Refused(7)`, 500, "function-error: Refused: 7"},
		{`Upstream("of another service")`, 500, "function-error: Upstream: of another service"},
		{`Odd()`, 500, "function-error: Odd"},
	} {
		for _, a := range []answer{
			c.predict(x.status, `{"inputs":[{"name":"x","data":"`+strings.ReplaceAll(x.raised, `"`, `\"`)+`"}]}`),
			c.infer(x.status, `{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":["`+strings.ReplaceAll(x.raised, `"`, `\"`)+`"]}]}`, 0).answer,
		} {
			got := a.slug() + ": " + a.Detail
			if len(a.Errors) > 0 {
				got += " " + a.Errors[0].Pointer
			}
			if !strings.HasPrefix(got, x.want) {
				t.Errorf("%s: %s, want %s", x.raised, a.body, x.want)
			}
		}
	}
}

// Streams of the user's own need nothing but write.
func TestOwnStdout(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"Tee()", "None", "7"} {
		c := start(t, `
import sys
class Tee:
    def write(self, text): pass
    def __getattr__(self, name): raise RuntimeError(name)
sys.stdout = sys.stderr = `+stream+`
def f(inputs): return {"ok": 1}
`, "f").awaitReady()
		for range 2 {
			c.predict(200, `{"inputs":[]}`)
		}
	}
	start(t, "import sys\nsys.stdout = sys.stderr = 7\nraise KeyError('the reason')", "f").
		wantEnd("importing m:f: KeyError: 'the reason'")
}
