package worker

import (
	"os/exec"
	"testing"
)

// quickWays compares the quick ways of values.py with the rules that they are quicker ways of, by
// random values, and says what differs.
const quickWays = `
import json, math, random, sys
sys.path.insert(0, ".")
import worker
values = sys.modules["unip_values"]
random.seed(7)

def rule(data):
    if type(data) is not list or not set(map(type, data)) <= {int, float}:
        return None
    try:
        return list(map(float, data))
    except OverflowError:
        return None

numbers = [0, 1, -7, 255, 2**53 + 1, 10**300, 0.5, -0.0, 1e308, 5e-324, 3.0, float("nan"), float("inf")]
others = [True, False, None, "1", "1.5", "nan", [1.5], {"a": 1}, 10**400, -10**400]
names = ["x", "true", "really", "false\\u0041", "null", ""]
for i in range(20000):
    data = [random.choice(numbers) for _ in range(random.choice((0, 1, 2, 9, 255, 256, 300)))]
    if i % 3 == 0:
        data.insert(random.randint(0, len(data)), random.choice(others))
    if i % 50 == 0:
        data = random.choice(others)
    body = json.dumps({"inputs": [{"name": random.choice(names), "data": data}]}, ensure_ascii=i % 2 == 0).encode()
    value = json.loads(body)["inputs"][0]
    want, taken = rule(value["data"]), values.floats(value, bytearray(body))
    if taken != (want is not None) or taken and repr(value["data"]) != repr(want):
        print("floats of %.300s: %s %.300r, want %.300r" % (body, taken, value["data"], want))

def some(depth):
    kind = random.randrange(12 if depth else 9)
    if kind < 9:
        return [None, True, False, random.getrandbits(70) - 2**69, random.random() * 1e5, "a\"\u20ac\ud800\n", "", float("nan"), b"\xff"][kind]
    if kind == 9:
        return {random.choice(("a", "b\"", 1, None, True, 2.5)): some(depth - 1) for _ in range(3)}
    return [some(depth - 1) for _ in range(3)] if kind == 10 else tuple(some(depth - 1) for _ in range(2))

def usual(value):
    try:
        return values.ENCODER.encode(value)
    except (TypeError, ValueError):
        return values.ENCODER.encode(values.plain(value))

for _ in range(5000):
    value = {"outputs": [some(3)]}
    if values.dumps(value).decode() != usual(value):
        print("dumps of %.300r" % value)
loop = []
loop.append({"a": loop})
for value in (loop, {"a": loop}):
    try:
        print("dumps of what holds itself: %.100s" % values.dumps(value))
    except RecursionError:
        pass
`

func TestQuickWays(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("python3", "-B", "-c", quickWays).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v %.3000s", err, out)
	}
}
