"""Stage report: takes the better classifier as the model and draws its confusion matrix: forest, svm, prepared -> model, report."""

import json
import os
import shutil
import struct
import sys
import zlib

from digits.stages import path, run

MODEL = "digits.joblib"  # what the MLComponent loads
CELL = 24


def png(pixels):
    """Encodes rows of grey values, 0 to 255, as a PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    head = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def heat_map(matrix):
    """Draws a matrix: the darker a cell, the larger its part of its row."""
    shades = [[255 - int(255 * v / max(sum(row), 1)) for v in row] for row in matrix]
    return [[v for v in row for _ in range(CELL)] for row in shades for _ in range(CELL)]


def better(metrics):
    """Returns the name of the classifier with the best accuracy."""
    return max(sorted(metrics), key=metrics.get)


def confusion(digits, said):
    """Returns how often each digit, by line, was read as which."""
    matrix = [[0] * 10 for _ in range(10)]
    for is_, read in zip(digits, said):
        matrix[int(is_)][int(read)] += 1
    return matrix


def write(metrics, matrix):
    """Writes the report."""
    best = better(metrics)
    with open(os.path.join(path("report"), "report.json"), "w") as f:
        json.dump({"accuracy": metrics, "best": best, "confusion_matrix": matrix}, f, indent=2)
    with open(os.path.join(path("report"), "confusion.png"), "wb") as f:
        f.write(png(heat_map(matrix)))
    print("%s is better: %s" % (best, metrics), file=sys.stderr)


def stage():
    metrics = {}
    for kind in ("forest", "svm"):
        with open(os.path.join(path(kind), "metrics.json")) as f:
            metrics[kind] = json.load(f)["accuracy"]
    best = better(metrics)

    import joblib
    import numpy

    split = numpy.load(os.path.join(path("prepared"), "split.npz"))
    said = joblib.load(os.path.join(path(best), "model.joblib")).predict(split["test_images"])
    shutil.copyfile(os.path.join(path(best), "model.joblib"), os.path.join(path("model"), MODEL))
    write(metrics, confusion(split["test_digits"], said))


if __name__ == "__main__":
    run(stage)
