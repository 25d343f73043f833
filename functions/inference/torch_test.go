package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// pythonWithTorch is an interpreter that has torch: what UNIP_TORCH_PYTHON says, the first python3 of
// the path, or Debian's; "" where none has.
func pythonWithTorch() string {
	for _, python := range []string{os.Getenv("UNIP_TORCH_PYTHON"), "python3", "/usr/bin/python3"} {
		if python != "" && exec.Command(python, "-c", "import torch").Run() == nil {
			return python
		}
	}
	return ""
}

// standIn is what tensors of torch are to the worker, where no Python has torch.
const standIn = `
import numpy as np
float64, int64, float16 = np.dtype("float64"), np.dtype("int64"), np.dtype("float16")
class Tensor:
    def __init__(self, array, requires_grad): self.array, self.requires_grad, self.dtype = np.asarray(array), requires_grad, "torch." + array.dtype.name
    def __array__(self, dtype=None, copy=None):
        if self.requires_grad: raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self.array
    def detach(self): return Tensor(self.array, False)
    def cpu(self): return self
    def __mul__(self, by): return Tensor(self.array * self.array.dtype.type(by), self.requires_grad)
    def __matmul__(self, by):
        if self.array.dtype != by.array.dtype: raise RuntimeError("expected m1 and m2 to have the same dtype")
        return Tensor(self.array @ by.array, self.requires_grad or by.requires_grad)
    def t(self): return Tensor(self.array.T, self.requires_grad)
def tensor(data, dtype=None, requires_grad=False):
    array = np.asarray(data, dtype)
    return Tensor(array.astype("float32") if dtype is None and array.dtype == "float64" else array, requires_grad)
`

// What people return of torch, on both protocols: also what a model answers that is not wrapped in
// no_grad, which gives no array before it is detached.
func TestTorch(t *testing.T) {
	t.Parallel()
	python := pythonWithTorch()
	source := `
import torch
def f(inputs):
    """Answers a tensor.

    :param inputs.of: numbers
    :type inputs.of: FP32
    :param inputs.what: an expression
    :type inputs.what: str
    """
    of = next((v["data"] for v in inputs if v["name"] == "of"), None)
    what = next(v["data"] for v in inputs if v["name"] == "what")
    return {"y": eval(what if isinstance(what, str) else what[0])}
`
	found := python != ""
	if !found {
		t.Log("no Python has torch (apt-get install python3-torch, or UNIP_TORCH_PYTHON): a stand-in is in its place")
		python = pythonWithNumpy(t)
		source = "import sys, types\ntorch = sys.modules['torch'] = types.ModuleType('torch')\n" +
			"exec(r'''" + standIn + "''', torch.__dict__)\n" + source
	}
	c := startWith(t, python, "-B", source, "f").awaitReady()
	for _, x := range []struct {
		python, datatype, shape, data string
		real                          bool
	}{
		{`torch.tensor([1.5, 2], requires_grad=True)`, "FP32", "[2]", "[1.5,2]", false},
		{`torch.tensor([1.5, 2], requires_grad=True) * 2`, "FP32", "[2]", "[3,4]", false},
		{`torch.tensor([[1.5, 2]], requires_grad=True).t()`, "FP32", "[2,1]", "[1.5,2]", false},
		{`torch.tensor([0.5], dtype=torch.float64, requires_grad=True)`, "FP64", "[1]", "[0.5]", false},
		{`torch.tensor([0.5], dtype=torch.float16)`, "FP16", "[1]", "[0.5]", false},
		{`torch.tensor([[1, 2], [3, 4]])`, "INT64", "[2,2]", "[1,2,3,4]", false},
		{`torch.tensor([True, False])`, "BOOL", "[2]", "[true,false]", false},
		{`torch.tensor(of) @ torch.tensor([0.5, 0.25], requires_grad=True) * 1`, "FP32", "[1]", "[1]", false},
		{`torch.tensor([1.5, 2], dtype=torch.bfloat16, requires_grad=True)`, "BF16", "[2]", "[1.5,2]", true},
		{`torch.nn.ReLU()(torch.tensor([-1.0, 2.0], requires_grad=True))`, "FP32", "[2]", "[0,2]", true},
		{`torch.nn.Softmax(0)(torch.nn.Linear(2, 1)(torch.tensor(of))).round()`, "FP32", "[1]", "[1]", true},
		{`torch.nn.Parameter(torch.zeros(2, 0))`, "FP32", "[2,0]", "[]", true},
	} {
		if x.real && !found {
			continue
		}
		what, err := json.Marshal(x.python)
		if err != nil {
			t.Fatal(err)
		}
		p := c.predict(200, fmt.Sprintf(`{"inputs":[{"name":"of","data":[1,2]},{"name":"what","data":%s}]}`, what))
		v := c.infer(200, fmt.Sprintf(`{"inputs":[{"name":"of","datatype":"FP32","shape":[2],"data":[1,2]},`+
			`{"name":"what","datatype":"BYTES","shape":[1],"data":[%s]}]}`, what), 0)
		output := fmt.Sprintf(`[{"name":"y","datatype":%q,"shape":%s,"data":%s}]}`, x.datatype, x.shape, x.data)
		if want := `{"outputs":` + output; !sameJSON(t, p.body, want) {
			t.Errorf("%s: %s, want %s", x.python, p.body, want)
		}
		if want := `{"model_name":"leaf","model_version":"1","outputs":` + output; !sameJSON(t, v.body, want) {
			t.Errorf("%s: %s, want %s", x.python, v.body, want)
		}
	}
}
