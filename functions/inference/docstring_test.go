package main

import (
	"strings"
	"testing"
)

// A docstring that cannot be a specification ends the component, and the reason names the line of
// the file.
func TestWrongDocstringEndsWithTheLine(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ source, function, reason string }{
		"unknown type": {"\n\ndef f(inputs):\n    '''x\n\n    :param inputs.a: x\n    :type inputs.a: float\n    '''\n",
			"f", "the docstring of m:f: DocstringError: %/app/m.py:7: inputs.a: unknown type 'float'; known are FP32"},
		"several": {"def f(inputs):\n    ''':type inputs.a: str\n    :param outputs.: x'''\n", "f",
			"%/app/m.py:2: inputs.a has a :type and no :param; %/app/m.py:3: ':param outputs.: x' is not of the form"},
		"behind decorators and other functions": {`
import functools
def f(): ":type inputs.a: str"
def same(g):
    @functools.wraps(g)
    def wrapped(*a, **k): return g(*a, **k)
    return wrapped
@same
@same

def g(inputs,
      parameters):

    # a comment
    """x
    :type inputs.a: str"""
`, "g", "%/app/m.py:16: inputs.a has a :type and no :param"},
		"async": {"async def f(): ':type inputs.a: str'", "f", "%/app/m.py:1: inputs.a has"},
		"an object that can be called": {
			"class A:\n  '''x\n  :type inputs.a: str'''\n  def __call__(self, inputs): pass\nf = A()", "f",
			"line 2 of the docstring: inputs.a has"},
		"set by a program": {"def f(inputs): pass\nf.__doc__ = ':type inputs.a: str'", "f",
			"line 1 of the docstring: inputs.a has"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, x.source, x.function)
			c.wantEnd(strings.ReplaceAll(x.reason, "%", c.dir))
		})
	}
}

// What is no specification, or says less than it could, is none of these.
func TestDocstringsThatAreFine(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"none":           "def f(inputs): return []",
		"plain text":     "def f(inputs): 'Reads.'\nf = lambda inputs: []",
		"of arguments":   "def f(inputs):\n  '''x\n  :param inputs: what is asked\n  :type inputs: list\n  :return: nothing'''\n  return []",
		"without a type": "def f(inputs):\n  ''':param inputs.a: x'''\n  return []",
		"no text":        "class A:\n  __doc__ = 7\n  def __call__(self, inputs): return []\nf = A()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t, source, "f").awaitReady().predict(200, "{}")
		})
	}
}
