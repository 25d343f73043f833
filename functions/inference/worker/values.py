"""Values of a call: what is checked of the inputs, and what becomes of the function's result."""

import json

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


# From how many elements on a list is long: lists.py is for it.
FEW = 256


def long(data):
    return (type(data) is list or type(data).__name__ == "ndarray") and len(data) >= FEW


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
        value["data"] = data if long(data) else data.tolist()
    return value


def select(values, fields):
    """The outputs that were asked for; names that do not exist are passed over, and when none exists all outputs are meant."""
    names = [f.get("name") if isinstance(f, dict) else f for f in fields] if fields else ()
    chosen = [v for v in values if v["name"] in names] if names else values
    return chosen or values


def plain(value):
    """numpy's arrays and numbers as Python's; bytes as latin-1 text, one character a byte; sets as lists."""
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
    return ENCODER.encode(finite(value)).encode()


def finite(value):
    """JSON has no NaN and no infinity: they become null, as orjson does it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    return value
