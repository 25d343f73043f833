"""The plain form of what Python's functions return: what JSON has. Read at the first value that is something else."""

import array as arrays
import collections.abc
import datetime
import decimal
import enum
import os
import sys

PLAIN = {type(None), bool, int, float, str, bytes, list, tuple, dict}


def one(value):
    """The plain form of a value, but for what it holds: None, a bool, int, float, str, bytes, list, tuple, dict, or an array of numpy's. TypeError names a type that has none."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return one(value.value)
    if frame(value):
        return {key(name): value[name] for name in value.columns}
    found = array(value)
    if found is not None:
        return found
    for kind, plain in SORTS:
        if isinstance(value, kind):
            return plain(value)
    if belongs(value, "uuid", "UUID"):
        return str(value)
    if belongs(value, "fractions", "Fraction"):
        return float(value)
    if value is getattr(sys.modules.get("pandas"), "NA", one):
        return None
    fields = members(value)
    if fields is not None:
        return fields
    if hasattr(value, "tolist"):  # what looks like numpy, in an image without it
        return value.tolist()
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    if isinstance(value, collections.abc.Iterable) and not isinstance(value, type):
        return list(value)
    raise TypeError("has a value of the type %s, which has no plain form" % type(value).__name__)


# What values of a type and of its subclasses become. Of equal dates only NaT of pandas is not equal to itself.
SORTS = (
    (str, str.__str__), (bytes, bytes), (float, float.__float__), (int, int.__int__), ((list, tuple), list), (dict, dict),
    (decimal.Decimal, float), (datetime.date, lambda v: v.isoformat() if v == v else None), (datetime.time, datetime.time.isoformat),
    (datetime.timedelta, lambda v: v.total_seconds() if v == v else None), (os.PathLike, os.fspath), (bytearray, bytes),
    ((memoryview, arrays.array), lambda v: v.tolist()),
)


def belongs(value, module, name):
    """Whether a value is of a class of a module that may not be imported."""
    found = getattr(sys.modules.get(module), name, None)
    return found is not None and isinstance(value, found)


def frame(value):
    return belongs(value, "pandas", "DataFrame") or belongs(value, "polars", "DataFrame")


def members(value):
    """What an object of a class that only holds values is made of, by name; None for another one."""
    kind = type(value)
    if hasattr(kind, "model_dump"):  # pydantic 2
        return value.model_dump()
    if hasattr(kind, "__fields__") and hasattr(kind, "dict"):  # pydantic 1
        return value.dict()
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    return None


def named(result):
    """What a function has returned, where it is no list of outputs and no dict: an object's members, a table's columns."""
    if hasattr(result, "_fields") and hasattr(result, "_asdict"):
        return result._asdict()
    if type(result) in PLAIN or hasattr(result, "dtype") and not frame(result):
        return result
    try:
        return one(result)
    except TypeError:
        return result


def array(value):
    """numpy's array of what holds one: numpy's own, a tensor of torch or TensorFlow, a Series, an image; of numbers, texts, bytes or objects. None for anything else, and in an image without numpy."""
    if isinstance(value, type) or not hasattr(value, "__array__") and not hasattr(value, "__array_interface__"):
        return None
    try:
        import numpy as np
    except ImportError:
        return None
    if hasattr(value, "detach"):  # torch
        value = value.detach().cpu()
        if "bfloat16" in str(value.dtype):
            value = value.float()
    if isinstance(value, np.ma.MaskedArray):
        value = value.filled(np.nan) if value.dtype.kind == "f" else np.array(value.tolist(), dtype=object)
    found = np.asarray(value)
    kind = found.dtype.kind
    if kind == "M":
        times = found.astype("datetime64[us]").ravel().tolist()
        found = np.array([None if t is None else t.isoformat() for t in times] + [None], dtype=object)[:-1].reshape(found.shape)
    elif kind == "m":
        found = found / np.timedelta64(1, "s")
    elif kind == "c":
        raise TypeError("has a value of the type %s, which has no plain form" % found.dtype.name)
    elif found.dtype.names:
        rows = [dict(zip(found.dtype.names, row)) for row in found.ravel().tolist()]
        found = np.array(rows + [None], dtype=object)[:-1].reshape(found.shape)
    elif kind == "f" and found.dtype.itemsize > 8:
        found = found.astype("float64")
    return found


def key(value):
    """The name that a key of a dict becomes, as json has it for those that it takes."""
    value = one(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    raise TypeError("has a key of the type %s, which has no plain form" % type(value).__name__)


def whole(value):
    """A value and all that it holds, as JSON has it: NaN and infinities are null, bytes latin-1 text, one character a byte."""
    value = one(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
        if not isinstance(value, list):
            return whole(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return [whole(v) for v in value]
    if isinstance(value, dict):
        return {key(k): whole(v) for k, v in value.items()}
    return value
