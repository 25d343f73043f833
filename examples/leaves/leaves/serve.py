import csv
import json
import math
import os

import drift

# A file of another module's dataset: it is there when this is imported.
with open(os.environ["SPECIES"], newline="") as f:
    LATIN = {row["species"]: row["latin"] for row in csv.DictReader(f)}


def load(path):
    with open(path) as f:
        return json.load(f)


@drift.watched(lambda model: model["profile"])
def classify(inputs, model):
    """Says which tree a leaf is of.

    :param inputs.length: the length of the leaf, in mm
    :type inputs.length: FP64
    :param inputs.width: its width, in mm
    :type inputs.width: FP64
    :param outputs.species: the Latin name of the tree
    :type outputs.species: str
    """
    leaf = [next(i["data"][0] for i in inputs if i["name"] == name) for name in ("length", "width")]
    nearest = min(model["middles"], key=lambda species: math.dist(leaf, model["middles"][species]))
    return [{"name": "species", "datatype": "str", "data": LATIN[nearest]}]
