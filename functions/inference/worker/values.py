"""Values of a call: what is checked of the inputs, and what becomes of the function's result."""

import functools
import json
import struct

# Also here: beside, of worker.py.

NUMERIC = {
    "FP16", "FP32", "FP64", "BF16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL",
}
FLOATS = ("FP32", "FP64", "FP16", "BF16")
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


def lenient(loads, body):
    """What Python's own json writes for NaN and infinity is no JSON, but clients send it, and an image without orjson takes it."""
    try:
        return loads(body)
    except ValueError:
        if b"NaN" in body or b"Infinity" in body:
            return json.loads(body.decode())
        raise


class Declared:
    """What the docstring says of a function's variables: the datatypes of each, by name, the inputs that must be there and the outputs that need not."""

    def __init__(self, description):
        self.inputs, self.outputs = ({v["name"]: v["types"] for v in description[side]} for side in ("inputs", "outputs"))
        self.optional = {v["name"] for v in description["inputs"] if v["optional"]}
        self.wanted = {v["name"] for v in description["inputs"] if v["types"] and not v["optional"]}
        self.spare = {v["name"] for v in description["outputs"] if v["optional"]}

    def check(self, inputs):
        """That none of the inputs is missing."""
        missing = self.wanted and self.wanted - {v["name"] for v in inputs}
        if missing:
            names = [name for name in self.inputs if name in missing]
            said = "input %s is" % names[0] if len(names) == 1 else "inputs %s are" % ", ".join(names)
            raise Fault(400, "invalid-request", "the %s missing; the function wants %s" % (said, ", ".join(self.inputs)), "/inputs")


def check_variables(inputs, declared, asked):
    if not isinstance(inputs, list):
        raise Fault(400, "invalid-request", "inputs must be a list", "/inputs")
    known = declared.inputs
    for i, v in enumerate(inputs):
        if not isinstance(v, dict):
            raise Fault(400, "invalid-request", "an input must be an object with name and data", "/inputs/%d" % i)
        name = v.get("name")
        if not isinstance(name, str) or not name:
            raise Fault(400, "invalid-request", "an input must have a name", "/inputs/%d/name" % i)
        if "data" not in v:
            raise Fault(400, "invalid-request", "input %s has no data" % name, "/inputs/%d/data" % i)
        kind, types = v.get("datatype"), known and known.get(name)
        if kind is None and (not types or v["data"] is None and name in declared.optional):
            continue
        if kind in FLOATS and (not types or kind in types) and (i in asked.floats or floats(v, asked.json)):
            continue
        beside("datatypes").given(i, v, types)
        if v["datatype"] == "FILE":
            asked.files().take(i, v)
    if declared.wanted:
        declared.check(inputs)


FLOAT, NUMBER = {float}, {float, int}


@functools.lru_cache(maxsize=None)
def doubles(count):
    return struct.Struct("%dd" % count)


def floats(value, body):
    """Makes floats of an input's flat list of numbers, as most are, given the JSON that it was in. False for anything else, which is for datatypes.py."""
    data = value["data"]
    if type(data) is not list:
        return False
    if len(data) < FEW and not booleans(body):  # through C's doubles is quicker than a look at each type, and all but numbers and booleans is refused there
        try:
            form = doubles(len(data))
            value["data"] = list(form.unpack(form.pack(*data)))
            return True
        except struct.error:
            return False
    types = set(map(type, data))
    if types != FLOAT:
        if not types <= NUMBER:
            return False
        try:
            value["data"] = list(map(float, data))
        except OverflowError:
            return False
    return True


def booleans(body):
    """Whether there may be booleans in a body of JSON. Most have not even their letters, and those are found at once."""
    return b"r" in body and b"true" in body or b"l" in body and b"false" in body


# From how many elements on a list is long: lists.py is for it.
FEW = 256


def long(data):
    return (isinstance(data, list) or type(data).__name__ == "ndarray") and len(data) >= FEW


def any_long(values):
    for value in values:
        if long(value["data"]):
            return True
    return False


class Floats(list):
    """A list that was found to have nothing but floats."""


def pieces(result):
    """The outputs of a result, in any of the forms that it may have; of a generator one after the other: each item is one, or has several in any of the forms of a result."""
    if type(result) is list:
        return result
    return listed(result) if not hasattr(result, "__next__") else (v for item in result for v in ([item] if isinstance(item, dict) and "name" in item and "data" in item else listed(item)))


def listed(result):
    if not isinstance(result, (list, tuple, dict)) or hasattr(result, "_fields"):
        result = beside("plain").named(result)
    if isinstance(result, dict):
        if isinstance(result.get("outputs"), (list, tuple)):
            result = result["outputs"]
        else:
            result = [dict(v, name=name(k)) if isinstance(v, dict) and "data" in v else {"name": name(k), "data": v} for k, v in result.items()]
    if not isinstance(result, (list, tuple)):
        raise Fault(500, "invalid-result", "the function returned %s, not a list of outputs" % type(result).__name__)
    return result


def name(key):
    return key if type(key) is str else beside("plain").key(key)


def checked(i, value):
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or "data" not in value:
        raise Fault(500, "invalid-result", "output %d of the function is not an object with name and data" % i)
    return value


def output(i, value, declared):
    """An output as predict answers it, of the datatype that the docstring says, the function, or its value."""
    data, kind = checked(i, value)["data"], value.get("datatype")
    types = declared and declared.get(value["name"])
    if not types or kind in types:
        if kind == "str" and type(data) is str:
            return value
        if kind in FLOATS and type(data) is list and set(map(type, data)) == FLOAT:
            shape = value.get("shape")
            if len(data) < FEW and shape is not None:
                return value
            return dict(value, data=Floats(data) if len(data) >= FEW else data, shape=shape or [len(data)])
    try:
        return beside("datatypes").output(value, types)
    except (TypeError, ValueError, OverflowError) as e:
        raise Fault(500, "invalid-result", "output %s of the function %s" % (value["name"], e))


def select(values, fields):
    """The outputs that were asked for; names that do not exist are passed over, and when none exists all outputs are meant."""
    names = [f.get("name") if isinstance(f, dict) else f for f in fields] if fields else ()
    chosen = [v for v in values if v["name"] in names] if names else values
    return chosen or values


def plain(value):
    """What JSON has in place of a value that is none of its own; an object of Python's, what it holds included."""
    return beside("plain").whole(value)


# Made once: json.dumps with arguments makes one for each call.
ENCODER = json.JSONEncoder(default=plain, allow_nan=False, separators=(",", ":"))


try:
    # What ENCODER makes anew for each value. It does not look for objects that hold themselves: they end as those that are nested too deeply.
    parts = json.encoder.c_make_encoder(None, plain, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False)
except (AttributeError, TypeError):  # a Python that has it not, or not so

    def parts(value, _):
        return ENCODER.iterencode(value)


def dumps(value):
    try:
        return "".join(parts(value, 0)).encode()
    except (TypeError, ValueError):  # NaN, which JSON has not, or a key that is no text
        return ENCODER.encode(plain(value)).encode()


