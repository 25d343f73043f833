"""Datatypes: what the values of one are, among those that come in and among those that a function returns, by both protocols. Read at the first value that is not simply of its datatype."""

import functools
import itertools
import json
from array import array

from unip_values import FEW, FLOATS, FROM_NUMPY, NUMERIC, OTHER, Fault, Floats

# Also here: beside, of worker.py.

plain = beside("plain")

# datatype -> bytes of an element, and the code of struct, array and memoryview for it. BF16 has none; it is made of FP32.
SIZES = {
    "BOOL": 1, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8,
}
CODES = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}
FROM_CODE = dict({code: kind for kind, code in CODES.items()}, l="INT64", L="UINT64", c="UINT8")
TEXTS = ("str", "BYTES")
# More dimensions than any array has: a list that holds itself has no end of them.
MOST_DIMENSIONS = 64


@functools.lru_cache(maxsize=None)
def numpy():
    """numpy, None in an image without it. Not imported before a tensor needs it."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


@functools.lru_cache(maxsize=None)
def dtype(kind):
    return numpy().dtype("<f4" if kind == "BF16" else "?" if kind == "BOOL" else "<" + CODES[kind])


def family(kind):
    return "number" if kind in NUMERIC else "text" if kind in TEXTS else kind


# --- elements ---------------------------------------------------------------------------------------------------------------------------


def flatten(data):
    """Nested lists as one list of plain values and the dimensions."""
    dimensions = [len(data)]
    while True:
        types = set(map(type, data))
        if not types <= plain.PLAIN:
            data = simple(data)
            types = set(map(type, data))
        if list not in types and tuple not in types:
            return data, dimensions
        if types - {list, tuple} or len(set(map(len, data))) > 1 or len(dimensions) == MOST_DIMENSIONS:
            raise ValueError("has nested data whose rows are not alike")
        dimensions.append(len(data[0]))
        data = list(itertools.chain.from_iterable(data))


def simple(data):
    """A list whose elements have their plain form, but for what they hold."""
    found = [v if type(v) in plain.PLAIN else plain.one(v) for v in data]
    return [v.tolist() if hasattr(v, "tolist") else v for v in found]


def numbers(kind, data):
    """A flat list or tuple of Python values as elements of a datatype, else ValueError. Integers among floats become floats and null NaN; a float without a fraction is an integer, too."""
    types = set(map(type, data))
    if kind in TEXTS:
        if types - {str, bytes}:
            raise ValueError("must have strings as data of %s, and has %.60r" % (kind, next(v for v in data if type(v) not in (str, bytes))))
    elif kind == "BOOL":
        if types - {bool}:
            raise ValueError("must have true and false as data of BOOL")
    elif kind in FLOATS:
        if types - {float, int, type(None)}:
            raise ValueError("must have numbers as data of %s" % kind)
        if types != {float}:
            try:
                data = [float("nan") if n is None else float(n) for n in data]
            except OverflowError:
                raise ValueError("has a number that is no %s" % kind)
    else:
        if types - {int, float} or float in types and not all(map(float.is_integer, (n for n in data if type(n) is float))):
            raise ValueError("must have integers as data of %s" % kind)
        if float in types:
            data = list(map(int, data))
        bits, signed = 8 * SIZES[kind], kind.startswith("INT")
        if data and (min(data) < (-1 << bits - 1 if signed else 0) or max(data) >= 1 << bits - signed):
            raise ValueError("has a number that is no %s" % kind)
    return data


# --- inputs -----------------------------------------------------------------------------------------------------------------------------


def given(i, value, types):
    """Applies to input i of predict the datatype that its caller names, or one of those that the docstring does."""
    name, kind, data, at = value["name"], value.get("datatype"), value["data"], "/inputs/%d" % i
    if kind is not None and (not isinstance(kind, str) or kind not in NUMERIC and kind not in OTHER):
        raise Fault(400, "invalid-request", "input %s: unknown datatype %.40r" % (name, kind), at + "/datatype")
    kinds = wanted(name, kind, types, at)
    why = None
    for kind in kinds:
        try:
            value["data"], value["datatype"] = fitted(kind, data), kind
            return
        except ValueError as e:
            why = why or str(e)
        except RecursionError:
            why = why or "is nested too deeply"
    raise Fault(400, "invalid-request", "input %s %s" % (name, why), at + "/data")


def wanted(name, kind, types, at):
    """The datatypes that an input may be taken as, best first: its own, and where the docstring has others, those of its family."""
    if not types or kind in types:
        return [kind]
    kinds = [t for t in types if t != "FILE" and kind in (None, t) or kind is not None and family(t) == family(kind)]
    if not kinds:
        said = "has no datatype" if kind is None else "is %s" % kind
        raise Fault(400, "invalid-request", "input %s %s; its datatype is %s" % (name, said, " or ".join(types)), at + "/datatype")
    return kinds


def fitted(kind, data):
    """What a body has as data, as the function gets it."""
    if kind in NUMERIC:
        if not isinstance(data, list):
            raise ValueError("must have a list as data of %s" % kind)
        return nested(kind, data)
    if kind in TEXTS:
        if not isinstance(data, str) and not (isinstance(data, list) and set(map(type, data)) <= {str}):
            raise ValueError("must have a text, or a list of texts, as data of %s" % kind)
    elif kind == "dict" and not isinstance(data, (dict, list)):
        raise ValueError("must have an object or a list as data of dict")
    return data


def nested(kind, data):
    """Numbers in lists as they lie: the platform's are flat, and those of others need not be."""
    if any(type(v) is list for v in data):
        if not all(type(v) is list for v in data):
            raise ValueError("has nested data whose rows are not alike")
        return [nested(kind, v) for v in data]
    return numbers(kind, data)


# --- outputs ----------------------------------------------------------------------------------------------------------------------------


def output(value, types):
    """An output of the function as predict answers it. ValueError and TypeError say what is wrong with it."""
    kind, data = value.get("datatype"), value["data"]
    if kind is None and types and (types == ["FILE"] or "FILE" in types and hasattr(data, "__fspath__")):
        return dict(value, datatype="FILE")
    if kind == "FILE" and (not types or kind in types) or data is None and not types and kind in (None, "dict"):
        return value
    kind, data, dimensions = answered(value, types)
    if kind in TEXTS:
        data = [v.decode("latin-1") if isinstance(v, bytes) else v for v in data]
        data = data[0] if dimensions is None else data
    elif kind in NUMERIC:
        if type(data) is list:
            data = Floats(data) if kind in FLOATS and len(data) >= FEW else data
        elif len(data) < FEW or type(data).__name__ != "ndarray":
            data = data.tolist()
        dimensions = dimensions or [1]
    value = dict(value, datatype=kind, data=data)
    if dimensions and value.get("shape") is None:
        value["shape"] = dimensions
    return value


def answered(value, types):
    """Of an output of the function its datatype, its elements, a flat list, memoryview or array of numpy's, and its dimensions, None for a single value. A dict is as the function has given it."""
    kind, data = value.get("datatype"), value["data"]
    if kind is not None and (not isinstance(kind, str) or kind not in NUMERIC and kind not in ("BYTES", "str", "dict")):
        raise ValueError("has the datatype %.40r, which cannot be answered here" % (kind,))
    if hasattr(data, "__next__"):
        data = list(data)
    found, own, dimensions = taken(data, kind)
    why = None
    for kind in offered(kind, own, types):
        try:
            if kind == "dict":
                if types and not isinstance(found, (dict, list, tuple)) or own != "dict" and dimensions is None and types:
                    raise ValueError("must have an object or a list as data of dict")
                return kind, found if own == "dict" else data, None
            elements, dimensions = flatten(found) if own == "dict" and isinstance(found, (list, tuple)) else (found, dimensions)
            return kind, converted(kind, own, elements), dimensions
        except ValueError as e:
            why = why or e
    if data is None:
        raise ValueError("is None, and its datatype is %s; an output that may be missing is optional in the docstring" % " or ".join(types or [kind]))
    raise why


def offered(kind, own, types):
    """The datatypes that an output may be answered as, best first: the docstring's, else the function's, else what it is by itself."""
    if not types or kind in types:
        return [kind or own]
    near = kind or own
    akin = [t for t in types if t != near and family(t) == family(near)]
    kinds = [t for t in types if t == near] + sorted(akin, key=lambda t: (t in FLOATS) != (near in FLOATS))
    kinds += [t for t in types if t not in kinds and t != "FILE" and (kind is None or family(t) == family(kind))]
    if not kinds:
        raise ValueError("is %s, and its docstring says %s" % (near, " or ".join(types)))
    return kinds


def taken(data, kind=None):
    """What a function may give as data: its elements, flat, the datatype that they are by themselves, and its dimensions, None for a single value. What is no tensor, for its rows are not alike or its elements of several
    sorts, and None, is a dict: JSON as it is."""
    if data is None:
        return None, "dict", None
    if isinstance(data, memoryview) and kind in TEXTS:
        data = bytes(data)
    elif isinstance(data, (array, memoryview)):
        view = memoryview(data)
        if view.contiguous and view.format in FROM_CODE:
            dimensions = list(view.shape)
            if view.ndim > 1 and view.nbytes:
                view = view.cast("B").cast(view.format)
            return view, FROM_CODE[view.format], dimensions
    if type(data) not in plain.PLAIN:
        name, shape = str(getattr(data, "dtype", "")).rpartition(".")[2], getattr(data, "shape", None)
        data = plain.one(data)
        if hasattr(data, "dtype"):
            known = "BF16" if name == "bfloat16" else FROM_NUMPY.get(data.dtype.name)
            if known:
                return data.reshape(-1), known, list(data.shape) or None
            data = data.tolist()
        elif name in FROM_NUMPY and isinstance(data, list):
            return flatten(data)[0], FROM_NUMPY[name], [int(n) for n in shape]
    if isinstance(data, dict):
        return data, "dict", None
    if not isinstance(data, (list, tuple)):
        own = natural([data])
        return data if own == "dict" else [data], own, None
    try:
        found, dimensions = flatten(data)
    except ValueError:
        return data, "dict", None
    own = natural(found)
    return (data, own, None) if own == "dict" else (found, own, dimensions)


def natural(data):
    """The datatype of a list of plain values."""
    types = set(map(type, data))
    if types and types <= {str, bytes}:
        return "str" if types == {str} else "BYTES"
    if types == {bool}:
        return "BOOL"
    if types == {int}:
        return "INT64" if min(data) >= -1 << 63 and max(data) < 1 << 63 else "UINT64" if min(data) >= 0 and max(data) < 1 << 64 else "dict"
    return "FP64" if types <= {bool, int, float, type(None)} and types != {type(None)} else "dict"


def converted(kind, own, data):
    """The elements as those of another datatype. Floats lose precision; of other types a number that the datatype has not is a ValueError. A number or boolean is a text as JSON writes it."""
    if kind == own and not isinstance(data, (list, tuple)):
        return data
    np = numpy() if hasattr(data, "dtype") else None
    if np is not None and kind in NUMERIC:
        found = data.astype(dtype(kind), copy=False)
        if kind not in FLOATS and not np.array_equal(found, data):
            raise ValueError("has a number that is no %s" % kind)
        return found
    if own == "dict":  # says what keeps it from being a tensor
        data = data if isinstance(data, (list, tuple)) else [data]
    elif not isinstance(data, (list, tuple)):
        data = data.tolist()
    if kind in NUMERIC or kind in TEXTS:
        turn = dict.fromkeys((bool, int, float), json.dumps) if kind in TEXTS else {bool: int} if kind in FLOATS else {int: boolean, float: boolean} if kind == "BOOL" else {bool: int, float: integer}
        if turn.keys() & set(map(type, data)):
            data = [turn[type(v)](v) if type(v) in turn else v for v in data]
    found = numbers(kind, data)
    return found if isinstance(found, list) else list(found)


def integer(value):
    if not value.is_integer():
        raise ValueError("has the number %r where integers are" % value)
    return int(value)


def boolean(value):
    if value not in (0, 1):
        raise ValueError("has a number that is no BOOL")
    return bool(value)
