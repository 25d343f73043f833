"""The stage: measured leaves become a model, the middle of each species; the profile goes with it."""
import collections
import csv
import json
import os

measurements, profile = os.environ["UNIP_PIPELINE_MEASUREMENTS"], os.environ["UNIP_PIPELINE_PROFILE"]
by_species = collections.defaultdict(list)
with open(measurements, newline="") as f:
    for row in csv.DictReader(f):
        by_species[row["species"]].append((float(row["length"]), float(row["width"])))
middles = {s: [sum(column) / len(leaves) for column in zip(*leaves)] for s, leaves in by_species.items()}
with open(os.path.join(profile, "profile.json")) as f:
    model = {"middles": middles, "profile": json.load(f)}
with open(os.path.join(os.environ["UNIP_PIPELINE_MODEL"], "leaves.json"), "w") as f:
    json.dump(model, f)
print("trained on", sum(map(len, by_species.values())), "leaves of", len(middles), "species")
