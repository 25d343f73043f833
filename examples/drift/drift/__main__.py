"""The stage: a table becomes its profile."""
import json
import os

from drift import profile

table, out = os.environ["UNIP_PIPELINE_MEASUREMENTS"], os.environ["UNIP_PIPELINE_PROFILE"]
columns = profile(table)
with open(os.path.join(out, "profile.json"), "w") as f:
    json.dump(columns, f)
print("profile of", ", ".join(columns))
