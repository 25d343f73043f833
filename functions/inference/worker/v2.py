"""The Open Inference Protocol (v2) in the worker: parse_v2 makes of a request what the function is called with, encode_v2 makes the answer of what it returned.

Sources: inference_rest.md of kserve/open-inference-protocol for the JSON, extension_binary_data.md of triton-inference-server/server for the binary tensors behind it, "BT" below.

A tensor that came in binary is not taken apart: its data is a flat, read-only numpy array over the bytes as they were received, or, in an image without numpy, a memoryview of that type. Numbers of 16 bits
are the exception where nothing can read them in place: BF16 becomes 32-bit floats, and so does FP16 without numpy. A tensor in JSON is a flat list. Machines are little-endian, as BT is.
"""

import itertools
import json
import struct
from array import array

from unip_frames import MAX_BODY
from unip_values import FLOATS, NUMERIC, Fault, any_long, floats, plain

# Also here: beside, of worker.py.

beside("datatypes")

from unip_datatypes import CODES, SIZES, TEXTS, answered, converted, dtype, flatten, numbers, numpy, wanted

# No dimension and no number of elements is larger than this.
LARGEST = (1 << 63) - 1
# Parameters of other extensions, which change what a tensor is: passing them over would give a wrong answer.
STRANGE = ("shared_memory_region", "classification")


# --- request ----------------------------------------------------------------------------------------------------------------------------


def bad(pointer, text, *values):
    return Fault(400, "invalid-request", text % values if values else text, pointer)


def parse_v2(worker, body, call):
    """The function's arguments, and what encode_v2 wants to know: "id", "binary" (all outputs in binary), "name" of the model, "version"."""
    view, more = memoryview(body).toreadonly(), call.more()
    size = more.get("json_size")
    try:
        request = worker.read(body if size is None else bytes(view[:size]), call)
    except (ValueError, RecursionError) as e:
        raise Fault(400, "invalid-json", "the request is not JSON: %s" % e, "")
    if not isinstance(request, dict):
        raise bad("", "the request must be an object with inputs")
    if not isinstance(request.get("id"), (str, type(None))):
        raise bad("/id", "id must be a string")
    parameters, asked = parameters_of(request, ""), requested(request)
    if not isinstance(request.get("inputs"), list):
        raise bad("/inputs", "inputs must be a list")
    tensors = Tensors(view, size, call)
    inputs = [tensors.input(i, v, worker.declared.inputs) for i, v in enumerate(request["inputs"])]
    tensors.end()
    worker.declared.check(inputs)
    return {
        "inputs": inputs, "parameters": [] if parameters is None else parameters, "output_fields": asked, "model_key": None,
        "id": request.get("id"), "binary": flag(parameters, "binary_data_output", ""), "name": more["model"], "version": more["version"],
    }


def parameters_of(value, pointer):
    parameters = value.get("parameters")
    if not isinstance(parameters, (dict, type(None))):
        raise bad(pointer + "/parameters", "parameters must be an object")
    for name in STRANGE:
        if parameters and name in parameters:
            raise bad("%s/parameters/%s" % (pointer, name), "the extension of %s is not supported", name)
    return parameters


def flag(parameters, name, pointer, default=False):
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise bad("%s/parameters/%s" % (pointer, name), "%s must be true or false", name)
    return value


def requested(request):
    asked = request.get("outputs")
    if asked is None:
        return []
    if not isinstance(asked, list):
        raise bad("/outputs", "outputs must be a list")
    for i, v in enumerate(asked):
        pointer = "/outputs/%d" % i
        if not isinstance(v, dict):
            raise bad(pointer, "an output must be an object with a name")
        if not isinstance(v.get("name"), str) or not v["name"]:
            raise bad(pointer + "/name", "an output must have a name")
        flag(parameters_of(v, pointer), "binary_data", pointer)
    return asked


class Tensors:
    """The input tensors, and the bytes behind the JSON, which they take one after the other."""

    def __init__(self, view, size, call):
        self.view, self.at, self.binary, self.call = view, len(view) if size is None else size, size is not None, call

    def input(self, i, v, known):
        pointer = "/inputs/%d" % i
        if not isinstance(v, dict):
            raise bad(pointer, "an input must be an object with name, shape, datatype and data")
        name, kind, shape, parameters = v.get("name"), v.get("datatype"), v.get("shape"), parameters_of(v, pointer)
        if not isinstance(name, str) or not name:
            raise bad(pointer + "/name", "an input must have a name")
        if not isinstance(kind, str) or kind not in SIZES and kind != "BYTES":
            raise bad(pointer + "/datatype", "input %s: unknown datatype %.40r; known are BYTES, %s", name, kind, ", ".join(SIZES))
        count = elements(shape, pointer + "/shape", name)
        value = {"name": name, "datatype": kind, "shape": shape}
        at = pointer + "/data"
        try:
            if parameters and "binary_data_size" in parameters:
                at = pointer + "/parameters/binary_data_size"
                if "data" in v:
                    raise ValueError("has data and binary_data_size; one of them is too much")
                raw = self.take(parameters["binary_data_size"])
                data, encoding = split(raw, count) if kind == "BYTES" else (unpack(kind, raw, count), None)
                if encoding:
                    value["encoding"] = encoding
                parameters = {k: x for k, x in parameters.items() if k != "binary_data_size"}
            elif "data" in v:
                quick = kind in FLOATS and (i in self.call.floats or floats(v, self.call.json))
                data = v["data"] if quick else flat(kind, v["data"])
            else:
                raise ValueError("has no data")
        except ValueError as e:
            raise bad(at, "input %s %s", name, e)
        if len(data) != count:
            raise bad(pointer + "/shape", "input %s has %d elements, its shape %.200s means %d", name, len(data), shape, count)
        value["datatype"], value["data"] = as_documented(kind, data, known.get(name), name, pointer)
        if parameters:
            value["parameters"] = parameters
            if isinstance(parameters.get("content_type"), str):
                value["content_type"] = parameters["content_type"]
        return value

    def take(self, size):
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError("has a binary_data_size that is not a number of bytes")
        if not self.binary:
            raise ValueError("has a binary_data_size, but the header Inference-Header-Content-Length is missing")
        left = len(self.view) - self.at
        if size > left:
            raise ValueError("has %d bytes of binary data, %d are left in the body" % (size, left))
        self.at += size
        return self.view[self.at - size:self.at]

    def end(self):
        if self.at != len(self.view):
            raise bad("", "%d bytes follow the last binary tensor", len(self.view) - self.at)


def elements(shape, pointer, name):
    """The number of elements of a tensor of that shape."""
    if not isinstance(shape, list):
        raise bad(pointer, "the shape of input %s must be a list of integers", name)
    for n in shape:
        if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n <= LARGEST:
            raise bad(pointer, "the shape of input %s has a dimension that is no integer from 0 to 2^63-1", name)
    if 0 in shape:
        return 0
    count = 1
    for n in shape:
        count *= n
        if count > LARGEST:
            raise bad(pointer, "the shape of input %s means more elements than there can be", name)
    return count


def flat(kind, data):
    """The elements of a JSON tensor, nested or not, in row-major order."""
    if not isinstance(data, list):
        raise ValueError("must have a list as data")
    return numbers(kind, flatten(data)[0])


def unpack(kind, raw, count):
    """The bytes of a binary tensor as a flat sequence of numbers, without a copy where the machine's own form is the same."""
    if len(raw) != count * SIZES[kind]:
        raise ValueError("has %d bytes of binary data, its shape and datatype mean %d" % (len(raw), count * SIZES[kind]))
    if kind == "BOOL" and bytes(raw).translate(None, b"\0\1"):
        raise ValueError("has a BOOL that is neither 0 nor 1")
    if kind == "BF16":  # the upper half of an FP32
        wide = bytearray(2 * len(raw))
        wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
        raw, kind = memoryview(wide).toreadonly(), "FP32"
    np = numpy()
    if np is None:
        return array("f", struct.unpack("<%de" % count, raw)) if kind == "FP16" else raw.cast(CODES[kind])
    data = np.frombuffer(raw, dtype(kind)) if count else np.empty(0, dtype(kind))
    if not data.flags.aligned:  # it follows a tensor of smaller elements; not all that takes arrays takes such ones
        data = data.copy()
    data.flags.writeable = False
    return data


def split(raw, count):
    """The elements of a binary BYTES tensor as text, and how they are to be encoded again: None for UTF-8, "latin-1", one character a byte, for all of them when one is not UTF-8."""
    found, at, end = [], 0, len(raw)
    while at < end and len(found) <= count:
        if end - at < 4:
            raise ValueError("ends within the length of element %d" % len(found))
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4
        if size > end - at:
            raise ValueError("has an element %d of %d bytes where %d are left" % (len(found), size, end - at))
        found.append(bytes(raw[at:at + size]))
        at += size
    if at < end or len(found) != count:
        raise ValueError("has %s elements in its binary data, its shape means %d" % (len(found) if at == end else "more than %d" % count, count))
    return decoded(found)


def decoded(data):
    """BYTES as text, and its encoding as split has it."""
    try:
        return [v.decode() if isinstance(v, bytes) else v for v in data], None
    except UnicodeDecodeError:
        return [v.decode("latin-1") if isinstance(v, bytes) else v for v in data], "latin-1"


def as_documented(kind, data, types, name, pointer):
    """The datatype and the data that the function gets, by its docstring: numbers as those that it wants; BYTES, which is how the platform's str and dict come, as those."""
    if not types or kind in types:
        return kind, data
    if kind == "BYTES" and "str" in types:
        return "str", data[0] if len(data) == 1 else data
    if kind == "BYTES" and "dict" in types and len(data) == 1:
        try:
            return "dict", json.loads(data[0])
        except (ValueError, RecursionError) as e:
            raise bad(pointer + "/data", "input %s is a dict, and not JSON: %s", name, e)
    why = None
    for wish in wanted(name, kind, types, pointer):
        try:
            return wish, converted(wish, kind, data)
        except ValueError as e:
            why = why or e
    raise bad(pointer + "/data", "input %s %s", name, why)


# --- answer -----------------------------------------------------------------------------------------------------------------------------


def encode_v2(worker, values, request, by_server=True):
    """The answer's body in parts, the JSON and the binary tensors, and the meta of its frame. by_server: long lists of numbers may be left to the server."""
    head, parts, picked = [], [b""], chosen(values, request)
    binaries = any(binary for _, binary in picked)
    for value, binary in picked:
        try:
            tensor, data = encoded(value, worker.declared.outputs.get(value["name"]))
            if binary:
                raw = pack(tensor["datatype"], data)
                tensor.setdefault("parameters", {})["binary_data_size"] = len(raw)
                parts.append(raw)
            else:
                tensor["data"] = decoded(data)[0] if tensor["datatype"] == "BYTES" else data
        except RecursionError:
            raise Fault(500, "invalid-result", "output %s of the function is nested too deeply, or holds itself" % value["name"])
        except (TypeError, ValueError, OverflowError, struct.error) as e:
            raise Fault(500, "invalid-result", "output %s of the function %s" % (value["name"], e))
        head.append(tensor)
    answer = {"model_name": request["name"], "model_version": request["version"], "outputs": head}
    if request["id"] is not None:
        answer["id"] = request["id"]
    try:
        placed = () if binaries or not by_server or not worker.server_writes or not any_long(head) else beside("lists").place(head, True)
        parts[0] = worker.dumps(answer)
        said = b'{"json_size":%d}' % len(parts[0]) if binaries else b""
        if placed:
            parts, said = beside("lists").fill(parts[0], placed)
    except (TypeError, ValueError, RecursionError, OverflowError) as e:
        raise Fault(500, "invalid-result", "the function's result cannot be encoded: %s" % e)
    size = sum(map(len, parts))
    if size > MAX_BODY:
        raise Fault(500, "invalid-result", "the answer would have %d bytes; %d are the most" % (size, MAX_BODY))
    return parts, said


def chosen(values, request):
    """The outputs to answer with, in the order in which they were asked for, and whether each is wanted in binary."""
    if not request["output_fields"]:
        return [(v, request["binary"]) for v in values]
    found = []
    for i, asked in enumerate(request["output_fields"]):
        named = [v for v in values if v["name"] == asked["name"]]
        if not named:
            raise bad("/outputs/%d/name" % i, "there is no output %s; the function gave %s", asked["name"], ", ".join(v["name"] for v in values) or "none")
        binary = flag(asked.get("parameters"), "binary_data", "", request["binary"])
        found += [(v, binary) for v in named]
    return found


def encoded(value, types):
    """An output of the function as the object of the answer, without its data, and the data: a flat numpy array, memoryview or list of the object's datatype."""
    kind, data, dimensions = answered(value, types)
    parameters = dict(value.get("parameters") or {})
    if kind == "dict":
        data = [json.dumps(plain(data))]
        parameters.setdefault("content_type", "application/json")
    elif kind in TEXTS and value.get("encoding") == "latin-1":
        data = [v.encode("latin-1") if isinstance(v, str) else v for v in data]
    tensor = {"name": value["name"], "datatype": kind if kind in NUMERIC else "BYTES", "shape": fitting(value.get("shape"), dimensions, len(data))}
    if isinstance(value.get("content_type"), str):
        parameters.setdefault("content_type", value["content_type"])
    if parameters:
        tensor["parameters"] = parameters
    return tensor, data


def fitting(shape, dimensions, count):
    """The shape that an output is answered with: its own, where it fits; text, whose shape the platform's functions give loosely, is one element."""
    if dimensions is None:
        return [1]
    if shape is None:
        return dimensions
    if isinstance(shape, (list, tuple)):
        shape, product = [int(n) for n in shape], 1
        for n in shape:
            product *= n
        if product == count and min(shape, default=0) >= 0:
            return shape
    elif shape == count:
        return [count]
    raise ValueError("has the shape %.200s and %d elements" % (shape, count))


def pack(kind, data):
    """The elements as BT has them; a numpy array or a memoryview of the right type is not copied."""
    if kind == "BYTES":
        elements_ = [v if isinstance(v, bytes) else v.encode("utf-8", "surrogatepass") for v in data]
        return b"".join(itertools.chain.from_iterable((struct.pack("<I", len(v)), v) for v in elements_))
    if kind == "BF16":
        return narrowed(data)
    if hasattr(data, "dtype"):
        found = numpy().ascontiguousarray(data, dtype(kind))
        return found.data.cast("B") if found.size else b""
    if isinstance(data, memoryview):
        return data.cast("B") if len(data) else b""
    if kind == "BOOL":
        return bytes(data)
    if kind == "FP16":
        return struct.pack("<%de" % len(data), *data)
    return memoryview(array(CODES[kind], data)).cast("B")


def narrowed(data):
    """BF16 of numbers: 32-bit floats rounded to the nearest, to even between two. A NaN stays one."""
    np = numpy()
    if np is not None:
        floats = np.ascontiguousarray(data, "<f4")
        bits = floats.view("<u4")
        rounded = (bits + (0x7FFF + (bits >> 16 & 1))) >> 16
        return np.where(np.isnan(floats), 0x7FC0, rounded).astype("<u2").tobytes()
    bits = array("I", array("f", data).tobytes())
    return array("H", [0x7FC0 if b & 0x7FFFFFFF > 0x7F800000 else b + 0x7FFF + (b >> 16 & 1) >> 16 for b in bits]).tobytes()
