"""Long lists of numbers, which go between worker and server in binary (functions/inference/internal/numbers): those of a request, and those of an answer."""

import json
import os
import sys
from struct import calcsize, pack

from unip_values import Floats, long

# How many lists of an answer the server may be given to write, and of how many bytes in all.
MOST_LISTS, MOST_BYTES = 10000, 64 << 20
# Codes of array for numpy's types. 32-bit floats become those of 64 bits, as in their tolist.
CODES = {"float32": "d", "float64": "d", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"}
# What stands in the JSON where numbers belong, until fill takes it out; nobody else knows it.
MARK = os.urandom(16).hex()


def unpack(body, taken):
    """The lists that the server has taken out of the JSON, as (index of the input, list, whether it has nothing but floats, which of those are integers in the JSON), and the JSON, with empty lists in their places (functions/inference/internal/numbers)."""
    view, at, lists = memoryview(body), 0, []
    for i, code, count, whole in taken:
        end = at + count * calcsize(code)
        data = view[at:end].cast(code).tolist()
        at = end + 4 * whole
        lists.append((i, data, code == "d", view[end:at].cast("I")))
    return lists, bytes(view[at:])


def elements(data):
    """The code and the bytes of a list of floats, or of an array of numpy's of one dimension; None for others."""
    if isinstance(data, list):
        floats = type(data) is Floats or type(data[0]) is float and set(map(type, data)) == {float}
        return ("d", pack("%dd" % len(data), *data)) if floats else None  # array("d", data) takes four times as long
    numpy = sys.modules.get("numpy")
    if numpy is None or type(data) is not numpy.ndarray or data.ndim != 1:  # others that look like it mean other things by their bytes
        return None
    code = CODES.get(str(data.dtype))
    return (code, (data.astype("float64") if code == "d" else data).tobytes()) if code else None


def place(values, binary):
    """Puts a mark in the place of each long list of numbers that is data of an output, and returns what belongs there, as (code, bytes). Arrays that are not taken, because of what they are or because nothing is to go in
    binary, become lists."""
    placed, size = [], 0
    for i, value in enumerate(values):
        data = value["data"]
        if not long(data):
            continue
        found = elements(data) if binary and len(placed) < MOST_LISTS else None
        if found and size + len(found[1]) <= MOST_BYTES:
            size += len(found[1])
            placed.append(found)
            values[i] = dict(value, data=MARK)
        elif not isinstance(data, list):
            values[i] = dict(value, data=data.tolist())
    return placed


def fill(body, placed):
    """The parts of a frame's body, the elements and then the JSON without the marks, and the meta that says where the elements belong."""
    pieces = body.split(b'"%s"' % MARK.encode())
    at, holes = 0, []
    for piece, (code, raw) in zip(pieces, placed):
        at += len(piece)
        holes.append([at, code, len(raw) // calcsize(code)])
    parts = [raw for _, raw in placed]
    if sum(map(len, parts)) < 1 << 20:
        parts = [b"".join(parts)]
    return parts + [b"".join(pieces)], json.dumps({"numbers": holes}).encode()
