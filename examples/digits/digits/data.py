"""The digits that scikit-learn brings: python3 -m digits.data --table FILE [--held-out FILE].

Writes the table from which the pipeline learns, and the digits that are not in it.
"""

import argparse
import csv
import json

HELD_OUT = 100
SEED = 20


def split():
    """Returns (train_images, train_digits, held_out_images, held_out_digits).

    An image is a row of 64 numbers, 0 (white) to 16 (black), line by line. The split is the same at every call.
    """
    import numpy
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = numpy.random.RandomState(SEED).permutation(len(digits.target))
    train, held_out = order[:-HELD_OUT], order[-HELD_OUT:]
    return digits.data[train], digits.target[train], digits.data[held_out], digits.target[held_out]


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--table", required=True, help="where to write the table, as CSV")
    flags.add_argument("--held-out", help="where to write the digits that are not in it, as JSON {images, digits}")
    args = flags.parse_args()
    images, digits, unseen_images, unseen_digits = split()
    with open(args.table, "w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["pixel%d" % i for i in range(64)] + ["digit"])
        table.writerows([*(int(v) for v in image), digit] for image, digit in zip(images, digits))
    if args.held_out:
        with open(args.held_out, "w") as f:
            json.dump({"images": unseen_images.tolist(), "digits": unseen_digits.tolist()}, f)


if __name__ == "__main__":
    main()
