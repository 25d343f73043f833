"""Stages fit-forest and fit-svm: python3 -m digits.fit forest|svm, prepared -> forest or svm."""

import json
import os
import sys

from digits.stages import Wrong, path, run


def classifier(kind):
    if kind == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=100, random_state=1)
    if kind == "svm":
        from sklearn.svm import SVC

        return SVC(gamma=0.001, C=10)
    raise Wrong("there is no classifier %r; forest or svm" % kind)


def stage():
    kind = sys.argv[1] if len(sys.argv) > 1 else ""
    model = classifier(kind)
    import joblib
    import numpy

    split = numpy.load(os.path.join(path("prepared"), "split.npz"))
    model.fit(split["train_images"], split["train_digits"])
    accuracy = model.score(split["test_images"], split["test_digits"])
    joblib.dump(model, os.path.join(path(kind), "model.joblib"))
    with open(os.path.join(path(kind), "metrics.json"), "w") as f:
        json.dump({"classifier": kind, "accuracy": accuracy}, f)
    print("%s: accuracy %.4f" % (kind, accuracy), file=sys.stderr)


if __name__ == "__main__":
    run(stage)
