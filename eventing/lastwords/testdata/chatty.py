"""Prints much and fails: what it printed last is in no order with why it failed."""
import sys

for i in range(int(sys.argv[1])):
    print("row", i, end=sys.argv[2].encode().decode("unicode_escape"))
raise KeyError("price")
