"""Tells when callers send what a model was not trained on.

A profile is the mean and the spread of each column of a table. `python3 -m drift` makes one in a
stage of a pipeline; `watched` wraps the function of a component, and compares each call with it.
"""
import csv
import functools
import json
import statistics
import sys


def profile(table):
    """The columns of a CSV file that are numbers: mean and standard deviation of each."""
    with open(table, newline="") as f:
        rows = list(csv.DictReader(f))
    columns = {}
    for name in rows[0]:
        try:
            values = [float(row[name]) for row in rows]
        except ValueError:
            continue  # a column of words
        columns[name] = {"mean": statistics.mean(values), "deviation": statistics.pstdev(values)}
    return columns


def distances(columns, inputs):
    """How many standard deviations the mean of each input is from that of its column."""
    found = {}
    for i in inputs:
        column, data = columns.get(i["name"]), i["data"]
        if column and column["deviation"] > 0:
            values = data if isinstance(data, list) else [data]
            found[i["name"]] = round(abs(statistics.mean(values) - column["mean"]) / column["deviation"], 2)
    return found


def watched(profile_of, limit=3):
    """Wraps a function of a component: its answer gets the output `drift`, the distance of each input.

    profile_of takes the model, and gives the profile of what it was trained on. A call with an input
    that is further away than limit is logged.
    """
    def wrap(function):
        @functools.wraps(function)  # callers see the function's own arguments and docstring
        def call(inputs, model, **others):
            found = distances(profile_of(model), inputs)
            far = {name: d for name, d in found.items() if d > limit}
            if far:
                print("drift:", json.dumps(far), file=sys.stderr)
            outputs = function(inputs=inputs, model=model, **others)
            return outputs + [{"name": "drift", "datatype": "dict", "data": found}]
        call.__doc__ = (function.__doc__ or "").rstrip() + """

    :param outputs.drift: how many standard deviations each input is from what the model was trained on
    :type outputs.drift: dict
    """
        return call
    return wrap
