"""Values of a call: what is checked of the inputs, and what becomes of the function's result."""

import json
import os
import sys
from struct import calcsize

NUMERIC = {
    "FP16", "FP32", "FP64", "BF16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL",
}
OTHER = {"str", "dict", "BYTES", "FILE"}

# numpy's names of types -> ours, for outputs that name none.
FROM_NUMPY = {
    "float16": "FP16", "float32": "FP32", "float64": "FP64", "int8": "INT8", "int16": "INT16", "int32": "INT32",
    "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "bool": "BOOL",
}


class Fault(Exception):
    """Becomes a problem (RFC 9457) of the answer."""

    def __init__(self, status, slug, detail, pointer=None):
        Exception.__init__(self, detail)
        self.status, self.slug, self.detail, self.pointer = status, slug, detail, pointer

    def payload(self):
        errors = [{"pointer": self.pointer, "detail": self.detail}] if self.pointer is not None else []
        return {"status": self.status, "slug": self.slug, "detail": self.detail[:2000], "errors": errors}


DECODER = json.JSONDecoder()


def loads(body):
    """A body of JSON, strictly of UTF-8, which json.loads would not ask for. One without blanks around it, as most are, is read without looking for them."""
    text = body.decode()
    try:
        value, end = DECODER.scan_once(text, 0)
    except StopIteration:  # no JSON begins here
        end = -1
    return value if end == len(text) else json.loads(text)


def lists_of(body, taken):
    """The lists that the server has taken out of the JSON, as (index of the input, list), and the JSON, with empty lists in their places (functions/inference/internal/numbers)."""
    view, at, lists = memoryview(body), 0, []
    for i, code, count, whole in taken:
        end = at + count * calcsize(code)
        data = view[at:end].cast(code).tolist()
        at = end + 4 * whole
        for n in view[end:at].cast("I"):
            data[n] = int(data[n])
        lists.append((i, data))
    return lists, bytes(view[at:])


def lenient(loads, body):
    """What Python's own json writes for NaN and infinity is no JSON, but clients send it, and an image without orjson takes it."""
    try:
        return loads(body)
    except ValueError:
        if b"NaN" in body or b"Infinity" in body:
            return json.loads(body.decode())
        raise


def check_variables(inputs, asked):
    if not isinstance(inputs, list):
        raise Fault(400, "invalid-request", "inputs must be a list", "/inputs")
    for i, v in enumerate(inputs):
        if not isinstance(v, dict):
            raise Fault(400, "invalid-request", "an input must be an object with name and data", "/inputs/%d" % i)
        name = v.get("name")
        if not isinstance(name, str) or not name:
            raise Fault(400, "invalid-request", "an input must have a name", "/inputs/%d/name" % i)
        if "data" not in v:
            raise Fault(400, "invalid-request", "input %s has no data" % name, "/inputs/%d/data" % i)
        kind = v.get("datatype")
        if kind is None:
            continue
        if kind in NUMERIC:
            if not isinstance(v["data"], list):
                raise Fault(400, "invalid-request", "data of %s input %s must be a list" % (kind, name), "/inputs/%d/data" % i)
        elif kind == "FILE":
            asked.files().take(i, v)
        elif not isinstance(kind, str) or kind not in OTHER:
            raise Fault(400, "invalid-request", "input %s: unknown datatype %.40r" % (name, kind), "/inputs/%d/datatype" % i)


# From how many numbers on the server writes a list of an answer; how many lists there may be, and of how many bytes in all. Others are written here.
FEW, MOST_LISTS, MOST_BYTES = 256, 10000, 64 << 20
# Codes of array for numpy's types. 32-bit floats become those of 64 bits, as in their tolist.
WRITTEN = {"float32": "d", "float64": "d", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"}
# What stands in the JSON where Numbers belong, until written takes it out; nobody else knows it.
MARK = os.urandom(16).hex()


class Numbers:
    """A long list of numbers in binary, which the server writes into the answer's JSON (functions/inference/internal/numbers)."""

    wanted = True  # False where orjson is, which is as fast
    placed, size = [], 0  # those of the JSON that is being made, in its order, and their bytes

    def __init__(self, code, raw):
        self.code, self.raw = code, raw

    def tolist(self):
        return memoryview(self.raw).cast(self.code).tolist()

    def place(self):
        """What the encoder writes for it."""
        if len(Numbers.placed) == MOST_LISTS or Numbers.size + len(self.raw) > MOST_BYTES:
            return finite(self.tolist())
        Numbers.placed.append(self)
        Numbers.size += len(self.raw)
        return MARK

    @staticmethod
    def none():
        Numbers.placed, Numbers.size = [], 0


def in_binary(data):
    """Numbers of a list of floats, or of an array of numpy's with one dimension, if they are many; else data itself."""
    if not Numbers.wanted or not hasattr(data, "__len__"):
        return data
    if type(data) is list:
        if len(data) >= FEW and type(data[0]) is float and set(map(type, data)) == {float}:
            from array import array

            return Numbers("d", memoryview(array("d", data)).cast("B"))
        return data
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(data) is numpy.ndarray and data.ndim == 1 and len(data) >= FEW:  # others that look like it, masked arrays too, mean other things by their bytes
        code = WRITTEN.get(str(data.dtype))
        if code:
            return Numbers(code, (data.astype("float64") if code == "d" else data).tobytes())
    return data


def written(dumps, value):
    """The JSON of an answer, before it the elements of its Numbers, as parts of a frame's body; and the meta that says where those belong."""
    Numbers.none()
    try:
        body = dumps(value)
        placed, size = Numbers.placed, Numbers.size
    finally:
        Numbers.none()
    if not placed:
        return [body], b""
    pieces = body.split(b'"%s"' % MARK.encode())
    at, holes = 0, []
    for piece, numbers in zip(pieces, placed):
        at += len(piece)
        holes.append([at, numbers.code, len(numbers.raw) // calcsize(numbers.code)])
    parts = [numbers.raw for numbers in placed]
    if size < 1 << 20:
        parts = [b"".join(parts)]
    return parts + [b"".join(pieces)], json.dumps({"numbers": holes}).encode()


def outputs(result, one=None):
    """The function's result, in any of the forms that it may have, as a list of output objects, each gone through one (output, if none is given)."""
    if isinstance(result, dict):
        if isinstance(result.get("outputs"), (list, tuple)):
            result = result["outputs"]
        else:
            result = [dict(v, name=k) if isinstance(v, dict) and "data" in v else {"name": k, "data": v} for k, v in result.items()]
    if not isinstance(result, (list, tuple)):
        raise Fault(500, "invalid-result", "the function returned %s, not a list of outputs" % type(result).__name__)
    return [(one or output)(i, v) for i, v in enumerate(result)]


def checked(i, value):
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or "data" not in value:
        raise Fault(500, "invalid-result", "output %d of the function is not an object with name and data" % i)
    return value


def output(i, value):
    data = checked(i, value)["data"]
    if hasattr(data, "dtype") and hasattr(data, "ravel"):  # numpy, or what looks like it: data is flat, the dimensions are the shape
        value = dict(value)
        value.setdefault("shape", [int(n) for n in data.shape])
        value.setdefault("datatype", FROM_NUMPY.get(str(data.dtype), "FP64"))
        data = data.ravel()
        numbers = in_binary(data)
        value["data"] = data.tolist() if numbers is data else numbers
    elif isinstance(data, list):
        numbers = in_binary(data)
        if numbers is not data:
            value = dict(value, data=numbers)
    return value


def select(values, fields):
    """The outputs that were asked for; names that do not exist are passed over, and when none exists all outputs are meant."""
    names = [f.get("name") if isinstance(f, dict) else f for f in fields] if fields else ()
    chosen = [v for v in values if v["name"] in names] if names else values
    return chosen or values


def plain(value):
    """numpy's arrays and numbers as Python's; bytes as latin-1 text, one character a byte; sets as lists."""
    if isinstance(value, Numbers):
        return value.place()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (bytes, bytearray)):
        return value.decode("latin-1")
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError("%s is no JSON" % type(value).__name__)


# Made once: json.dumps with arguments makes one for each call.
ENCODER = json.JSONEncoder(default=plain, allow_nan=False, separators=(",", ":"))


def dumps(value):
    try:
        return ENCODER.encode(value).encode()
    except ValueError as e:
        if "Out of range float" not in str(e):
            raise
    Numbers.none()
    return ENCODER.encode(finite(value)).encode()


def finite(value):
    """JSON has no NaN and no infinity: they become null, as orjson does it."""
    if hasattr(value, "tolist") and not isinstance(value, Numbers):
        value = value.tolist()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return value
