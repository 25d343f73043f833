"""Handwritten digits to learn from: python3 -m digits.data --table FILE [--held-out FILE].

Writes the table from which the pipeline learns, and the digits that are not in it.

digits.csv.gz holds 1797 digits of 13 writers, as scikit-learn brings them: the part for tests of "Optical Recognition of
Handwritten Digits" by E. Alpaydin and C. Kaynak (UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0).
"""

import argparse
import csv
import gzip
import json
import os
import random

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.csv.gz")
HELD_OUT = 100
SEED = 2


def split():
    """Returns (rows to learn from, rows that are held out): 64 pixels each, 0 (white) to 16 (black), and the digit.

    The split is the same at every call.
    """
    with gzip.open(FILE, "rt") as f:
        rows = [[int(float(v)) for v in row] for row in csv.reader(f)]
    random.Random(SEED).shuffle(rows)
    return rows[:-HELD_OUT], rows[-HELD_OUT:]


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--table", required=True, help="where to write the table, as CSV")
    flags.add_argument("--held-out", help="where to write the digits that are not in it, as JSON {images, digits}")
    args = flags.parse_args()
    learn, held_out = split()
    with open(args.table, "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["pixel%d" % i for i in range(64)] + ["digit"])
        table.writerows(learn)
    if args.held_out:
        with open(args.held_out, "w") as f:
            json.dump({"images": [row[:-1] for row in held_out], "digits": [row[-1] for row in held_out]}, f)


if __name__ == "__main__":
    main()
