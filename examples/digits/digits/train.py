"""Trains the classifier: python3 -m digits.train --model FILE [--held-out FILE]."""

import argparse
import json
import sys


def main():
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--model", required=True, help="where to write the classifier")
    flags.add_argument("--held-out", help="where to write the digits it has not seen, as JSON {images, digits}")
    args = flags.parse_args()

    import joblib
    from sklearn.svm import SVC

    from digits.data import split

    images, digits, unseen_images, unseen_digits = split()
    model = SVC(gamma=0.001, C=10).fit(images, digits)
    joblib.dump(model, args.model)
    print("trained on %d digits, accuracy %.3f on %d others"
          % (len(digits), model.score(unseen_images, unseen_digits), len(unseen_digits)), file=sys.stderr)
    if args.held_out:
        with open(args.held_out, "w") as f:
            json.dump({"images": unseen_images.tolist(), "digits": unseen_digits.tolist()}, f)


if __name__ == "__main__":
    main()
