"""The module of the stories: a function that does what it is told, one that answers piece by piece, one with a model,
and the stages that make the model or do what a file tells them."""

import csv
import json
import os
import statistics
import sys
import tempfile
import time


class Refused(ValueError):
    status, pointer = 422, "/inputs/0/data"

    def __init__(self, detail):
        super().__init__(detail)
        self.detail = detail


def speak(inputs: list, user=None):
    """Does what it is told.

    :param inputs.say: hello, double, capitals, refuse, raise or wrong
    :type inputs.say: str
    :param inputs.numbers: what to double
    :type inputs.numbers: FP32, optional
    :param inputs.file: a text whose letters become capitals
    :type inputs.file: FILE, optional
    :param outputs.said: a greeting
    :type outputs.said: str, optional
    :param outputs.numbers: twice as much
    :type outputs.numbers: FP32, optional
    :param outputs.capitals: the text in capitals
    :type outputs.capitals: FILE, optional
    """
    given = {i["name"]: i["data"] for i in inputs}
    say = given["say"]
    if say == "hello":
        return {"said": "hello, %s" % (user or "whoever you are")}
    if say == "double":
        return {"numbers": [2 * n for n in given["numbers"]]}
    if say == "capitals":
        with open(given["file"]) as f, open(os.path.join(tempfile.mkdtemp(), "capitals.txt"), "w") as g:
            g.write(f.read().upper())
        return [{"name": "capitals", "datatype": "FILE", "data": g.name, "content_type": "text/plain"}]
    if say == "refuse":
        raise Refused("the photo is too dark")
    if say == "raise":
        raise KeyError("price")
    return {"numbers": say}  # which is no number


def count(inputs: list):
    """Counts, and answers with each number when it has it.

    :param inputs.to: how far; below zero the process ends
    :type inputs.to: INT32
    :param outputs.number: a number
    :type outputs.number: INT32
    """
    if inputs[0]["data"][0] < 0:
        os._exit(9)
    for number in range(1, inputs[0]["data"][0] + 1):
        yield {"name": "number", "data": [number]}


def load(path):
    with open(path) as f:
        return json.load(f)


def classify(inputs: list, model):
    """Says of which kind points are.

    :param inputs.points: x and y of each point
    :type inputs.points: FP32
    :param outputs.kind: the kind of each
    :type outputs.kind: INT32
    """
    numbers = inputs[0]["data"]
    points = zip(numbers[::2], numbers[1::2])
    return {"kind": [nearest(point, model) for point in points]}


def nearest(point, middles):
    return int(min(middles, key=lambda kind: sum((a - b) ** 2 for a, b in zip(point, middles[kind]))))


def place(variable, *names):
    """A path of a variable of the pipeline."""
    return os.path.join(os.environ["UNIP_PIPELINE_" + variable], *names)


def write(variable, name, value):
    with open(place(variable, name), "w") as f:
        json.dump(value, f)


def prepare():
    with open(place("TABLE"), newline="") as f:
        rows = [[float(x), float(y), kind] for x, y, kind in csv.reader(f)]
    if not rows:
        sys.exit("no rows in the table")
    print("prepared", len(rows), "rows")
    write("PREPARED", "rows.json", rows)


def fit(how):
    kinds = {}
    for x, y, kind in load(place("PREPARED", "rows.json")):
        kinds.setdefault(kind, []).append((x, y))
    middle = getattr(statistics, how)
    write(how.upper(), "middles.json", {k: [middle(axis) for axis in zip(*points)] for k, points in sorted(kinds.items())})


def report():
    rows = load(place("PREPARED", "rows.json"))
    best, most = None, -1
    with open(place("REPORT", "report.txt"), "w") as f:
        for how in ("MEAN", "MEDIAN"):
            middles = load(place(how, "middles.json"))
            right = sum(nearest((x, y), middles) == int(kind) for x, y, kind in rows)
            print(how.lower(), right, "of", len(rows), file=f)
            if right > most:
                best, most = middles, right
    write("MODEL", "middles.json", best)


def task():
    """Does what a file says; of a folder, its first one."""
    at = place("TABLE")
    if os.path.isdir(at):
        at = os.path.join(at, sorted(os.listdir(at))[0])
    with open(at) as f:
        what, _, text = f.read().strip().partition(" ")
    print("asked to", what, file=sys.stderr)
    if what == "write":
        with open(place("RESULT", "result.txt"), "w") as f:
            f.write(text)
    elif what == "user":
        with open(place("RESULT", "user.txt"), "w") as f:
            f.write(os.environ.get("UNIP_USER", "-"))
    elif what == "fail":
        print("no rows in the table", file=sys.stderr)
        sys.exit(3)
    elif what == "eat":
        bytearray(300 << 20)
    elif what == "link":
        os.symlink("/etc/hostname", place("RESULT", "link"))
    elif what == "sleep":
        time.sleep(600)


def tick():
    with open(place("SAID", "said.txt"), "w") as f:
        f.write("tick")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
