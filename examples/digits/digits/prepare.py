"""Stage prepare: reads the table of labelled images, checks every row, and splits it: table -> prepared.

The table is CSV: a header, then one row per image: 64 pixels from 0 to 16, line by line, and the digit.
"""

import csv
import os
import sys

from digits.stages import Wrong, path, run

PIXELS = 64
MIN_ROWS = 50
TEST_PART = 5  # one of five rows is for testing


def read(file):
    """Returns (images, digits) of a CSV file."""
    images, digits = [], []
    with open(file, newline="", encoding="utf-8-sig") as f:
        rows = csv.reader(f)
        if next(rows, None) is None:
            raise Wrong("the table is empty")
        for row in rows:
            if not row:
                continue
            if len(row) != PIXELS + 1:
                raise Wrong("line %d has %d columns, not %d pixels and the digit" % (rows.line_num, len(row), PIXELS))
            try:
                pixels, digit = [float(v) for v in row[:PIXELS]], int(row[PIXELS])
            except ValueError as e:
                raise Wrong("line %d: %s" % (rows.line_num, e))
            if not all(0 <= v <= 16 for v in pixels) or not 0 <= digit <= 9:
                raise Wrong("line %d: pixels are 0 to 16, the digit is 0 to 9" % rows.line_num)
            images.append(pixels)
            digits.append(digit)
    if len(digits) < MIN_ROWS or len(set(digits)) < 2:
        raise Wrong("%d rows of %d different digits are too few: %d of 2 are the least" % (len(digits), len(set(digits)), MIN_ROWS))
    return images, digits


def stage():
    images, digits = read(path("table"))
    import numpy

    order = numpy.random.RandomState(1).permutation(len(digits))
    images, digits = numpy.asarray(images)[order], numpy.asarray(digits)[order]
    test = len(digits) // TEST_PART
    numpy.savez(os.path.join(path("prepared"), "split.npz"), train_images=images[test:], train_digits=digits[test:],
                test_images=images[:test], test_digits=digits[:test])
    print("%d rows to learn from, %d to test with" % (len(digits) - test, test), file=sys.stderr)


if __name__ == "__main__":
    run(stage)
