"""Stages and function without scikit-learn and numpy: python3 -m digits.plain prepare, fit means|neighbours, report.

A model is a list of points with their digits. An image has the digit of the point that is nearest.
"""

import json
import math
import os
import random
import sys

from digits import prepare, report
from digits.stages import Wrong, path, run

MODEL = "model.json"


def save(model, folder):
    with open(os.path.join(folder, MODEL), "w") as f:
        json.dump(model, f)


def load(file):
    """Reads a model."""
    with open(file) as f:
        return json.load(f)


def read(model, image):
    """Returns the digit on an image."""
    return min(zip(model["points"], model["digits"]), key=lambda point: math.dist(point[0], image))[1]


def mean(images):
    return [sum(pixels) / len(images) for pixels in zip(*images)]


def means(images, digits):
    """Learns an image of each digit: the mean of all that are given."""
    known = sorted(set(digits))
    return {"points": [mean([i for i, d in zip(images, digits) if d == digit]) for digit in known], "digits": known}


def neighbours(images, digits):
    """Learns by heart."""
    return {"points": images, "digits": digits}


CLASSIFIERS = {"means": means, "neighbours": neighbours}


def split():
    """Stage prepare: table -> prepared."""
    images, digits = prepare.read(path("table"))
    order = random.Random(1).sample(range(len(digits)), len(digits))
    test = len(digits) // prepare.TEST_PART
    for name, rows in ("test", order[:test]), ("train", order[test:]):
        with open(os.path.join(path("prepared"), name + ".json"), "w") as f:
            json.dump({"images": [images[i] for i in rows], "digits": [digits[i] for i in rows]}, f)
    print("%d rows to learn from, %d to test with" % (len(digits) - test, test), file=sys.stderr)


def prepared(name):
    with open(os.path.join(path("prepared"), name + ".json")) as f:
        return json.load(f)


def fit():
    """Stages fit-means and fit-neighbours: prepared -> means or neighbours."""
    kind = sys.argv[2] if len(sys.argv) > 2 else ""
    if kind not in CLASSIFIERS:
        raise Wrong("there is no classifier %r; %s" % (kind, " or ".join(CLASSIFIERS)))
    model, test = CLASSIFIERS[kind](**prepared("train")), prepared("test")
    said = [read(model, image) for image in test["images"]]
    save(model, path(kind))
    accuracy = sum(map(int.__eq__, said, test["digits"])) / len(said)
    with open(os.path.join(path(kind), "result.json"), "w") as f:
        json.dump({"classifier": kind, "accuracy": accuracy, "said": said}, f)
    print("%s: accuracy %.4f" % (kind, accuracy), file=sys.stderr)


def choose():
    """Stage report: means, neighbours, prepared -> model, report."""
    results = {}
    for kind in CLASSIFIERS:
        with open(os.path.join(path(kind), "result.json")) as f:
            results[kind] = json.load(f)
    metrics = {kind: result["accuracy"] for kind, result in results.items()}
    best = report.better(metrics)
    save(load(os.path.join(path(best), MODEL)), path("model"))
    report.write(metrics, report.confusion(prepared("test")["digits"], results[best]["said"]))


def numbers(data):
    """Yields the numbers of lists in lists."""
    for v in data:
        if isinstance(v, (int, float)):
            yield v
        else:
            yield from numbers(v)


def predict(inputs: list, model) -> list:
    """Reads handwritten digits.

    :param inputs.image: one or more images of 8 x 8 pixels, 0 (white) to 16 (black), line by line; or a PNG file of them
    :type inputs.image: FP32 or FP64 or INT32 or FILE
    :param outputs.digit: the digit on each image, 0 to 9
    :type outputs.digit: INT32
    """
    image = next(i for i in inputs if i["name"] == "image")
    if image.get("datatype") == "FILE":
        from digits import picture

        images = picture.digits(image["data"])
    else:
        data = list(numbers(image["data"]))
        if not data or len(data) % prepare.PIXELS:
            raise ValueError("image: %d numbers are not images of 64 pixels" % len(data))
        images = [data[i:i + prepare.PIXELS] for i in range(0, len(data), prepare.PIXELS)]
    digits = [read(model, image) for image in images]
    return [{"name": "digit", "datatype": "INT32", "shape": [len(digits)], "data": digits}]


STAGES = {"prepare": split, "fit": fit, "report": choose}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in STAGES:
        sys.exit("there is no stage %r; %s" % (name, ", ".join(STAGES)))
    run(STAGES[name])
