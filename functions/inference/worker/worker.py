"""Calls one Python function for unip's inference server.

    python3 worker.py --socket PATH --inference MODULE:FUNCTION [--model-loader MODULE:FUNCTION] [--workers N]

Two kinds of process. The supervisor, the first one, never imports the user's code: it forks the workers, reaps them, kills one on the server's word, and ends the container with the reason
when a worker cannot start. A worker imports the function, loads the model once and answers calls, one at a time. All of them connect to the Unix socket on which the server listens.

A frame is 8 bytes, type (1), length of the meta (3, big endian), length of the body (4, big endian); then the meta and the body. Bodies are JSON, those of CALL and ANSWER the body of the HTTP
request and answer as it is. The meta of CALL is the request's id and, where there is more to say of the call, a zero byte and a JSON object; of ANSWER it is such an object, or empty. {"form": "v2", …} is a call of the Open Inference
Protocol. Files that the function returns go with an ANSWER as descriptors (class Files).

What the function prints while it answers a call goes to the log a line at a time, as JSON with the request's id (lines.py); whatever else is printed stays as it is.

Beside this file are lines.py, the log; docstring.py, the docstring of the function as a specification; and v2.py, the Open Inference Protocol, read at the first such call.

Standard library of Python 3.8 or later only; it writes nothing but /dev/termination-log; orjson and numpy are used when the image has them.
"""

import os
import signal

if __name__ == "__main__":
    # Before the other imports: this is PID 1 of its container, to which the kernel gives no signal that has no handler.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import json
import socket
import struct
import sys
import time

# Frame types; functions/inference/internal/frame is the other side.
HELLO, READY, FAILED, MODEL, LOADED, CALL, ANSWER, PROBLEM, KILL, EXIT = range(1, 11)

HEADER = struct.Struct(">II")
MAX_BODY = 256 << 20
MAX_META = 1 << 20
TERMINATION_LOG = "/dev/termination-log"
FOLDER = os.path.dirname(os.path.abspath(__file__))
# Exit status of a worker that said FAILED: it cannot start, and another one could not either.
CANNOT_START = 70
# Exit status of a worker that has lost its connection: the user's code has closed it, or the server has.
LOST = 71
# What a worker writes into the pipe of its reason once it has started.
STARTED = b"\0"
# How many workers in a row may end before they could answer, where others could.
TRIES = 5
# The signal at which a worker writes to stderr where its threads are.
WHERE = signal.SIGUSR2


def beside(name):
    """Runs a file beside this one and returns what it defines. Not an import: that would write a cache, and its folder is not on the user's sys.path."""
    path = os.path.join(FOLDER, name)
    defined = {"__name__": "unip." + name, "__file__": path}
    with open(path, encoding="utf-8") as f:
        exec(compile(f.read(), path, "exec"), defined)
    return defined


log = beside("lines.py")


# --- frames ---------------------------------------------------------------------------------------------------------------------------


def send(connection, kind, body=b"", meta=b""):
    if not isinstance(body, (bytes, bytearray)):
        body = json.dumps(body).encode()
    header = HEADER.pack(kind << 24 | len(meta), len(body)) + meta
    if len(body) < 65536:
        connection.sendall(header + body)
    else:
        connection.sendall(header)
        connection.sendall(body)


def receive_exactly(connection, size):
    first = connection.recv(size)
    if len(first) == size:
        return first
    if not first and size:
        return None
    buffer = bytearray(size)
    view = memoryview(buffer)
    view[: len(first)] = first
    at = len(first)
    while at < size:
        got = connection.recv_into(view[at:])
        if got == 0:
            return None
        at += got
    return buffer


class Incoming:
    """A connection that is only received from, through a buffer: a frame of usual size costs one system call, not one for each of its parts. Not for who polls the connection."""

    def __init__(self, connection):
        self.connection = connection
        self.view = memoryview(bytearray(65536))
        self.at = self.end = 0

    def recv(self, size):
        if self.at == self.end:
            self.at, self.end = 0, self.connection.recv_into(self.view)
        start, self.at = self.at, min(self.at + size, self.end)
        return bytes(self.view[start : self.at])

    def recv_into(self, view):
        """For what recv gave less of than was asked for: nothing is left in the buffer then."""
        return self.connection.recv_into(view)


def receive(connection):
    """Returns (kind, meta, body), or three times None when the other side is gone."""
    gone = None, None, None
    header = receive_exactly(connection, HEADER.size)
    if header is None:
        return gone
    first, size = HEADER.unpack(header)
    kind, more = first >> 24, first & 0xFFFFFF
    if size > MAX_BODY or more > MAX_META:
        raise ValueError("a frame of %d and %d bytes" % (more, size))
    meta = receive_exactly(connection, more) if more else b""
    body = receive_exactly(connection, size) if size else b""
    if meta is None or body is None:
        return gone
    return kind, meta, body


def send_parts(connection, kind, parts, meta):
    """A frame whose body is several byte buffers; none of them is copied."""
    connection.sendall(HEADER.pack(kind << 24 | len(meta), sum(map(len, parts))) + meta)
    for part in parts:
        connection.sendall(part)


# --- worker ---------------------------------------------------------------------------------------------------------------------------

ARGUMENTS = ("parameters", "inputs", "output_fields", "model_key", "model")

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


def resolve(name):
    """package.module:function (also package.module.function) -> the function."""
    import importlib

    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError("%s is not a function" % name)
    return found


def declared(function):
    """The arguments to call the function with, out of ARGUMENTS."""
    code = getattr(function, "__code__", None)
    if code is not None and not hasattr(function, "__wrapped__"):
        count = code.co_argcount + code.co_kwonlyargcount
        names = list(code.co_varnames[:count])
        optional = len(function.__defaults__ or ())
        keywords = function.__kwdefaults__ or {}
        required = names[: code.co_argcount - optional] + [n for n in names[code.co_argcount:] if n not in keywords]
        everything = bool(code.co_flags & 0x08)  # **kwargs
        if code.co_posonlyargcount:
            raise TypeError("arguments before '/' cannot be given by name")
    else:
        import inspect

        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters]
        everything = any(p.kind == p.VAR_KEYWORD for p in parameters)
        required = [p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    strangers = [n for n in required if n not in ARGUMENTS]
    if strangers:
        raise TypeError("the function wants the argument %r; it is called with some of %s" % (strangers[0], ", ".join(ARGUMENTS)))
    return ARGUMENTS if everything else tuple(n for n in ARGUMENTS if n in names)


# --- calls ----------------------------------------------------------------------------------------------------------------------------


def what_else(meta):
    """What the meta of a CALL says beside the request's id."""
    _, more, said = meta.partition(b"\0")
    return json.loads(said) if more else {}


class Worker:
    def __init__(self, options):
        self.options = options
        self.model = None
        self.v2 = None
        self.pid = os.getpid()
        try:
            import orjson

            self.loads = lambda body: lenient(orjson.loads, body)
            self.dumps = lambda value: orjson.dumps(value, default=plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        except ImportError:
            self.loads = lambda body: json.loads(body.decode())  # strictly UTF-8, which json would not ask for
            self.dumps = dumps

    def run(self):
        connection = connect(self.options.socket, os.getppid())
        self.guard(connection)
        send(connection, HELLO, {"role": "worker", "pid": self.pid})
        try:
            sys.path.insert(0, os.getcwd())
            started = time.monotonic()
            self.function = resolve(self.options.inference)
            self.arguments = declared(self.function)
            self.load = resolve(self.options.model_loader) if self.options.model_loader else None
            took = time.monotonic() - started
        except BaseException as e:  # whatever the user's module raises while it is imported, sys.exit included
            self.fail(connection, "importing %s" % self.options.inference, e)
        docstring = beside("docstring.py")
        try:
            self.description = docstring["described"](self.function)
        except docstring["DocstringError"] as e:
            self.fail(connection, "the docstring of %s" % self.options.inference, e)
        import gc

        gc.collect()
        gc.freeze()  # what the imports made stays: later collections need not look at it
        if self.load is None:
            self.started()
        send(connection, READY, {
            "pid": self.pid, "description": self.description, "arguments": list(self.arguments),
            "name": getattr(self.function, "__name__", self.options.inference), "import_seconds": took,
        })
        incoming = Incoming(connection)
        while True:
            kind, meta, payload = receive(incoming)
            if kind is None:
                os._exit(LOST)
            if kind == MODEL:
                self.load_model(connection, json.loads(payload)["path"])
            elif kind == CALL:
                self.answer(connection, meta, payload)
            else:
                raise ValueError("a frame of type %d" % kind)

    def guard(self, connection):
        """Against what the user's code may do to this process: forks get no connection, on which only one may answer; a crash in native code leaves the place in the log, as a call that overruns does."""
        import faulthandler

        def forked():
            connection.close()
            if self.options.reason is not None:
                os.close(self.options.reason)
                self.options.reason = None
            for stream in self.streams:
                stream.unlock()

        os.register_at_fork(after_in_child=forked)
        try:
            faulthandler.enable()
            faulthandler.register(WHERE)
            self.streams = log["Lines"](sys.stdout, "stdout"), log["Lines"](sys.stderr, "stderr")
            sys.stdout, sys.stderr = self.streams
        except (AttributeError, OSError, ValueError):  # there is no stdout, or it is none of the system's
            self.streams = ()

    def started(self):
        """Tells the supervisor that this worker can answer calls: from here on its end is no failure to start."""
        if self.options.reason is not None:
            try:
                os.write(self.options.reason, STARTED)
                os.close(self.options.reason)
            except OSError:
                pass  # the supervisor is gone, or the user's code has closed it
            self.options.reason = None

    def load_model(self, connection, path):
        started = time.monotonic()
        try:
            self.model = self.load(path) if self.load else path
        except BaseException as e:
            self.fail(connection, "loading the model %s" % path, e)
        self.started()
        send(connection, LOADED, {"load_seconds": time.monotonic() - started})

    def fail(self, connection, doing, error):
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
        flush()
        message = "%s: %s" % (doing, describe(error))
        try:
            send(connection, FAILED, {"message": message})
        except OSError:
            pass
        if self.options.reason is not None:
            os.write(self.options.reason, message.encode()[:4000])
        os._exit(CANNOT_START)

    def answer(self, connection, meta, body):
        parts = None
        request = meta.partition(b"\0")[0].decode("latin-1")
        for stream in self.streams:
            stream.id = request
        files, parts = Files(meta), None
        try:
            more = files.more()
            if more.get("form") == "v2":
                parts, said = self.call_v2(body, more)
            else:
                kind, payload = ANSWER, self.call(body, files)
        except Fault as f:
            kind, payload = PROBLEM, f.payload()
        except Exception as e:
            import traceback

            log["record"](2, "ERROR", "the function raised " + describe(e), request_id=request, traceback=traceback.format_exc()[-log["MAX_TRACEBACK"]:])
            kind, payload = PROBLEM, Fault(500, "function-error", describe(e)).payload()
        finally:
            for stream in self.streams:
                stream.finish()
        flush()
        if os.getpid() != self.pid:
            os._exit(0)  # a fork that the function has made and let return: the answer is its parent's
        try:
            if parts is not None:
                send_parts(connection, ANSWER, parts, said)
            elif files.opened:
                files.send(connection, kind, payload)
            else:
                send(connection, kind, payload)
        except OSError:
            os._exit(LOST)

    def call(self, body, files):
        request = self.parse(body, files)
        return self.encode(files.give(select(outputs(self.invoke(request)), request["output_fields"])))

    def call_v2(self, body, more):
        if self.v2 is None:  # most components are never called like this, and every line read costs at a cold start
            self.v2 = beside("v2.py")
        request = self.v2["parse_v2"](self, body, more)
        return self.v2["encode_v2"](self, outputs(self.invoke(request), checked), request)

    def invoke(self, request):
        result = self.function(**{name: self.model if name == "model" else request[name] for name in self.arguments})
        if hasattr(result, "__await__"):
            import asyncio

            async def wait():
                return await result

            result = asyncio.run(wait())
        return result

    def parse(self, body, files):
        try:
            request = self.loads(body)
        except (ValueError, RecursionError) as e:
            raise Fault(400, "invalid-json", "the body is not JSON: %s" % e, "")
        if not isinstance(request, dict):
            raise Fault(400, "invalid-request", "the body must be an object with inputs", "")
        inputs = request.get("inputs")
        if inputs is None:
            inputs = []
        check_variables(inputs, files)
        for key in ("parameters", "output_fields"):
            if request.get(key) is None:
                request[key] = []
            elif not isinstance(request[key], (list, dict)):
                raise Fault(400, "invalid-request", "%s must be a list" % key, "/" + key)
        return {
            "inputs": inputs, "parameters": request["parameters"], "output_fields": request["output_fields"],
            "model_key": request.get("model_key"),
        }

    def encode(self, values):
        try:
            return self.dumps({"outputs": values})
        except (TypeError, ValueError, RecursionError, OverflowError) as e:
            raise Fault(500, "invalid-result", "the function's result cannot be encoded: %s" % e)


def lenient(loads, body):
    """What Python's own json writes for NaN and infinity is no JSON, but clients send it, and an image without orjson takes it."""
    try:
        return loads(body)
    except ValueError:
        if b"NaN" in body or b"Infinity" in body:
            return json.loads(body.decode())
        raise


def check_variables(inputs, files):
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
            files.take(i, v)
        elif not isinstance(kind, str) or kind not in OTHER:
            raise Fault(400, "invalid-request", "input %s: unknown datatype %.40r" % (name, kind), "/inputs/%d/datatype" % i)


class Files:
    """The FILE values of one call. The server has fetched those of the inputs; those of the outputs are opened here and handed over as descriptors, for the server opens no path of this container. Where the
    server will store them it has said in the meta: {"files": [{"input": 0, "path": "…"}], "upload": "<box>/<group>/"}; the meta of the answer is {"files": [{"output": 0, "name": "…"}]}."""

    MOST = 64  # descriptors with one message; functions/inference/internal/rights is the other side

    said = None
    opened = ()  # most calls have no files, and pay nothing for them

    def __init__(self, meta):
        self.meta = meta

    def more(self):
        if self.said is None:
            self.said = what_else(self.meta)
        return self.said

    def take(self, i, value):
        """Gives input i the path of its file."""
        for fetched in self.more().get("files", ()):
            if fetched["input"] == i:
                value["data"] = fetched["path"]
                return
        raise Fault(501, "file-not-supported", "input %s is a FILE, and the server has none for it: the component is connected to no box, or the body is no strict JSON" % value["name"], "/inputs/%d/datatype" % i)

    def give(self, values):
        """Opens the files of the outputs; the result says where they will be."""
        for i, value in enumerate(values):
            if value.get("datatype") == "FILE":
                values[i] = self.open(i, value)
        return values

    def open(self, i, value):
        upload = self.more().get("upload")
        if upload is None:
            raise Fault(501, "file-not-supported", "output %s is a FILE, but the component is connected to no box that it could be stored in" % value["name"])
        if not self.opened:
            self.opened, self.told, self.names = [], [], set()
        if len(self.opened) == self.MOST:
            raise Fault(500, "invalid-result", "the function returned more than %d files" % self.MOST)
        try:
            path = os.path.normpath(os.fsdecode(value["data"]))
            self.opened.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))  # O_NONBLOCK: a pipe would wait for its other end
            self.regular(self.opened[-1])
        except (OSError, TypeError, ValueError) as e:
            raise Fault(500, "invalid-result", "output %s is a FILE: its data must be the path of a file that can be read: %s" % (value["name"], describe(e)))
        name = self.name(os.path.basename(path))
        kind = value.get("content_type")
        self.told.append({"output": i, "name": name, "content_type": kind[:200] if isinstance(kind, str) else ""})
        return dict(value, data=upload + name)

    @staticmethod
    def regular(descriptor):
        import stat

        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is a folder, a pipe or a device")

    def name(self, name):
        """A name that the file API takes and that no other output of this call has."""
        name = os.fsencode(name).decode("utf-8", "replace")
        name = "".join("_" if c < " " or c in "\x7f\ufffd" else c for c in name)
        stem, dot, suffix = name.rpartition(".") if "." in name[1:] else (name, "", "")
        n = 1
        while name in self.names:
            n += 1
            name = "%s-%d%s%s" % (stem, n, dot, suffix)
        self.names.add(name)
        return name

    def send(self, connection, kind, body):
        """Hands the files over with an answer; with a problem they are only closed."""
        try:
            if kind != ANSWER:
                send(connection, kind, body)
                return
            import array

            meta = json.dumps({"files": self.told}).encode()
            header = HEADER.pack(kind << 24 | len(meta), len(body)) + meta
            sent = connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self.opened))])
            connection.sendall(header[sent:])
            connection.sendall(body)
        finally:
            for descriptor in self.opened:
                os.close(descriptor)


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
        value["data"] = data.ravel().tolist()
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


def describe(error):
    text = str(error)
    return "%s: %s" % (type(error).__name__, text[:1500]) if text else type(error).__name__


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


# --- supervisor -----------------------------------------------------------------------------------------------------------------------


def connect(path, parent=0):
    """Connects to the server, which may start later than this container. A worker whose supervisor is gone gives up."""
    while True:
        if parent and os.getppid() != parent:
            os._exit(0)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.005)


class Child:
    """A worker as its supervisor sees it."""

    def __init__(self, reading):
        self.reading = reading  # end of the pipe of its reason
        self.began = time.monotonic()
        self.said = b""

    def listen(self):
        try:
            self.said += os.read(self.reading, 4096)
        except BlockingIOError:
            pass  # nothing (more), but the worker, or a process that the user's code has left behind, holds the pipe
        return self.said

    def started(self):
        return self.listen().startswith(STARTED)


class Supervisor:
    def __init__(self, options):
        self.options = options
        self.workers = {}  # pid -> Child
        self.connection = None
        self.asked = set()  # pids that the server had killed
        self.failures = 0  # workers in a row that ended before they could answer, since one could
        self.proven = False  # a worker of this container could answer once
        self.due = []  # when workers are to be started
        self.ooms = oom_kills()

    def run(self):
        # Signals wake the poll below through a pipe; nothing else happens in their handlers.
        reading, writing = self.wakeup = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.terminate)
        import select

        while True:
            self.connection = connect(self.options.socket)
            send(self.connection, HELLO, {"role": "supervisor", "pid": os.getpid(), "python": sys.version.split()[0], "workers": self.options.workers})
            self.due = [0] * self.options.workers
            self.poll = select.poll()
            self.poll.register(self.connection, select.POLLIN)
            self.poll.register(reading, select.POLLIN)
            while self.serve(reading):
                pass
            # The server is gone, its container is being started again: so are the workers.
            self.connection.close()
            self.kill_all()

    def terminate(self, *_):
        """The pod ends; Knative sends the signal when all calls have been answered. Handlers run between two steps of the main thread, wherever it is."""
        self.kill_all()
        os._exit(0)

    def serve(self, reading):
        now = time.monotonic()
        for at in [at for at in self.due if at <= now]:
            self.due.remove(at)
            self.spawn()
        for descriptor, _ in self.poll.poll(max(1, (min(self.due) - now) * 1000) if self.due else None):
            if descriptor == reading:
                try:
                    os.read(reading, 512)
                except BlockingIOError:
                    pass
                continue
            try:
                kind, _, payload = receive(self.connection)
            except OSError:
                return False
            if kind is None:
                return False
            if kind == KILL:
                self.kill(**json.loads(payload))
        self.reap()
        return True

    def kill(self, pid, why="", **_):
        # One that ends by itself has its own reason; the kernel closes its connection, which the server saw, a little before it can be reaped.
        for _ in range(1 if why == "deadline" else 20):
            self.reap()
            if pid not in self.workers:
                return
            if why != "deadline":
                time.sleep(0.005)
        self.asked.add(pid)
        if why == "deadline":
            log["record"](2, "WARN", "a call overran its time and its worker is killed; it was here", worker=pid)
            os.kill(pid, WHERE)
            time.sleep(0.05)  # to write it
        end(pid)

    def spawn(self):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                for descriptor in self.wakeup:
                    os.close(descriptor)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                os.close(reading)
                self.connection.close()
                for other in self.workers.values():
                    os.close(other.reading)
                if not os.isatty(0):  # a debugger of the user's reads from the terminal, which another group may not
                    os.setpgid(0, 0)
                self.options.reason = writing
                Worker(self.options).run()
            except SystemExit as e:  # the user's code called sys.exit
                status = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
                if isinstance(e.code, str):
                    sys.stderr.write(e.code + "\n")
            except ConnectionError:  # the server is gone: what the user's code raises does not come this far
                status = LOST
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                flush()
                os._exit(status & 0xFF)
        os.close(writing)
        self.workers[pid] = Child(reading)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.workers:
                continue  # an orphan of the user's code: this is PID 1
            end_group(pid)
            child = self.workers.pop(pid)
            started = child.started()
            os.close(child.reading)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            oom = False
            if number == signal.SIGKILL:
                kills = oom_kills()
                oom, self.ooms = kills > self.ooms, kills
            news = {"pid": pid, "code": code, "signal": number, "oom": oom, "asked": pid in self.asked or code == LOST}
            self.asked.discard(pid)
            try:
                send(self.connection, EXIT, news)
            except OSError:
                pass
            if started:
                self.proven, self.failures = True, 0
            else:
                self.failed(child.said, news)
            # Code that dies at once must not take the machine with it.
            pause = min(5, 0.2 * 2 ** self.failures) if self.failures or time.monotonic() - child.began < 0.2 else 0
            self.due.append(time.monotonic() + pause)

    def failed(self, said, news):
        """A worker ended before it could answer a call. None can, if none could before: the container ends. One that replaces another gets more tries, for the others are answering."""
        self.failures += 1
        self.proven = self.proven or any(other.started() for other in self.workers.values())
        if self.proven and self.failures < TRIES:
            sys.stderr.write("worker: %s\n" % (said.decode(errors="replace") or "a worker ended before it could answer a call"))
            return
        ended = "the process was killed by signal %(signal)d" if news["signal"] else "the process ended with exit code %(code)d"
        self.give_up(said.decode(errors="replace") or "importing %s: %s" % (self.options.inference, ended % news))

    def give_up(self, reason):
        """Ends the container; the reason is what Kubernetes shows as its termination message, and Knative in the Revision's status."""
        try:
            with open(TERMINATION_LOG, "w") as f:
                f.write(reason[:4000])
        except OSError:
            pass
        sys.stderr.write("worker: %s\n" % reason)
        self.kill_all()
        flush()
        os._exit(1)

    def kill_all(self):
        for pid, child in self.workers.items():
            end(pid)
            try:
                os.waitpid(pid, 0)
            except OSError:
                pass
            os.close(child.reading)
        self.workers = {}


def end(pid):
    """Ends a worker that has not been waited for yet."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    end_group(pid)


def end_group(pid):
    """Ends what a worker has started, but for processes that have left its group: a program that a killed call had started must not go on."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass


def oom_kills():
    """How many processes of this container the kernel has killed for want of memory."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as f:
                for line in f:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            pass
    return 0


def main():
    import argparse

    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("--socket", required=True)
    flags.add_argument("--inference", required=True)
    flags.add_argument("--model-loader", default="")
    flags.add_argument("--workers", type=int, default=1)
    options = flags.parse_args()
    sys.argv = [options.inference]  # the user's code does not see these flags
    sys.path.pop(0)  # this file's folder
    Supervisor(options).run()


if __name__ == "__main__":
    main()
