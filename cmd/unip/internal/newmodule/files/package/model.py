"""The model: how often each word stands in texts of each topic. It is a JSON file."""

import collections
import csv
import json


def train(table):
    """Counts the words of a CSV table with the columns topic and text."""
    words = collections.defaultdict(collections.Counter)
    with open(table, newline="", encoding="utf-8-sig") as f:
        for row in csv.DictReader(f):
            if not row.get("topic") or row.get("text") is None:
                raise ValueError("the table needs the columns topic and text, in every row")
            words[row["topic"]].update(row["text"].lower().split())
    if not words:
        raise ValueError("the table has no rows")
    return words


def save(words, path):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(words, f)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def topic_of(words, text):
    """The topic whose words the text has most of."""
    return max(sorted(words), key=lambda topic: sum(words[topic].get(w, 0) for w in text.lower().split()))
