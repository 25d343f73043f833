"""Calls one Python function for unip's inference server.

    python3 worker.py --socket PATH --inference MODULE:FUNCTION [--model-loader MODULE:FUNCTION] [--workers N]

Two kinds of process. The supervisor, the first one, never imports the user's code: it forks the workers, reaps them, kills one on the server's word, and ends the container with the reason
when a worker cannot start. A worker imports the function, loads the model once and answers calls, one at a time. All of them connect to the Unix socket on which the server listens.

A frame is 8 bytes, type (1), length of the meta (3, big endian), length of the body (4, big endian); then the meta and the body. Bodies are JSON, those of CALL and ANSWER the body of the HTTP
request and answer as it is. The meta of CALL is the request's id and, where there is more to say of the call, a zero byte and a JSON object: {"form": "v2", …} for a call of the Open Inference Protocol.

Beside this file are docstring.py, the docstring of the function as a specification, and v2.py, the Open Inference Protocol, read at the first such call.

Standard library of Python 3.8 or later only; it writes nothing but /dev/termination-log; orjson and numpy are used when the image has them.
"""

import json
import os
import signal
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
# What a worker writes into the pipe of its reason once it has started.
STARTED = b"\0"


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


def beside(name):
    """Runs a file beside this one and returns what it defines. Not an import: that would write a cache, and its folder is not on the user's sys.path."""
    path = os.path.join(FOLDER, name)
    defined = {"__name__": "unip." + name, "__file__": path}
    with open(path, encoding="utf-8") as f:
        exec(compile(f.read(), path, "exec"), defined)
    return defined


class Worker:
    def __init__(self, options):
        self.options = options
        self.model = None
        self.v2 = None
        try:
            import orjson

            self.loads = orjson.loads
            self.dumps = lambda value: orjson.dumps(value, default=plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        except ImportError:
            self.loads = json.loads
            self.dumps = dumps

    def run(self):
        connection = connect(self.options.socket)
        send(connection, HELLO, {"role": "worker", "pid": os.getpid()})
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
        send(connection, READY, {
            "pid": os.getpid(), "description": self.description, "arguments": list(self.arguments),
            "name": getattr(self.function, "__name__", self.options.inference), "import_seconds": took,
        })
        incoming = Incoming(connection)
        while True:
            kind, meta, payload = receive(incoming)
            if kind is None:
                os._exit(0)
            if kind == MODEL:
                self.load_model(connection, json.loads(payload)["path"])
            elif kind == CALL:
                self.started()
                self.answer(connection, payload, meta)
            else:
                raise ValueError("a frame of type %d" % kind)

    def started(self):
        """Tells the supervisor that this worker has come as far as its first call: from here on its end is no failure to start."""
        if self.options.reason is not None:
            os.write(self.options.reason, STARTED)
            os.close(self.options.reason)
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

    def answer(self, connection, body, meta):
        parts = None
        try:
            more = what_else(meta)
            if more.get("form") == "v2":
                parts, said = self.call_v2(body, more)
            else:
                kind, payload = ANSWER, self.call(body)
        except Fault as f:
            kind, payload = PROBLEM, f.payload()
        except Exception as e:
            import traceback

            traceback.print_exc()
            kind, payload = PROBLEM, Fault(500, "function-error", describe(e)).payload()
        flush()
        if parts is not None:
            send_parts(connection, ANSWER, parts, said)
        else:
            send(connection, kind, payload)

    def call(self, body):
        request = self.parse(body)
        return self.encode(select(outputs(self.invoke(request)), request["output_fields"]))

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

    def parse(self, body):
        try:
            request = self.loads(body)
        except (ValueError, RecursionError) as e:
            raise Fault(400, "invalid-json", "the body is not JSON: %s" % e, "")
        if not isinstance(request, dict):
            raise Fault(400, "invalid-request", "the body must be an object with inputs", "")
        inputs = request.get("inputs")
        if inputs is None:
            inputs = []
        check_variables(inputs)
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


def check_variables(inputs):
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
            raise Fault(501, "file-not-supported", "input %s: files are not supported yet; send the data itself" % name, "/inputs/%d/datatype" % i)
        elif not isinstance(kind, str) or kind not in OTHER:
            raise Fault(400, "invalid-request", "input %s: unknown datatype %.40r" % (name, kind), "/inputs/%d/datatype" % i)


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
    names = {f.get("name") if isinstance(f, dict) else f for f in fields if isinstance(f, (dict, str))} if fields else ()
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


def connect(path):
    """Connects to the server, which may start later than this container."""
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.005)


class Supervisor:
    def __init__(self, options):
        self.options = options
        self.workers = {}  # pid -> (reading end of its reason, when it was started)
        self.connection = None

    def run(self):
        # Signals wake the poll below through a pipe; nothing else happens in their handlers.
        reading, writing = os.pipe()
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
            while len(self.workers) < self.options.workers:
                self.spawn()
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
        for descriptor, _ in self.poll.poll():
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
                pid = json.loads(payload)["pid"]
                if pid in self.workers:
                    os.kill(pid, signal.SIGKILL)
        self.reap()
        return True

    def spawn(self):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                os.close(reading)
                self.connection.close()
                self.options.reason = writing
                status = 1
                Worker(self.options).run()
            except SystemExit as e:  # the user's code called sys.exit
                status = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                flush()
                os._exit(status & 0xFF)
        os.close(writing)
        self.workers[pid] = (reading, time.monotonic())

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
            reading, started = self.workers.pop(pid)
            try:
                said = os.read(reading, 4096)
            except BlockingIOError:
                said = b""  # a process that the user's code has left behind holds the pipe
            os.close(reading)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            try:
                send(self.connection, EXIT, {"pid": pid, "code": code, "signal": number})
            except OSError:
                pass
            if not said.startswith(STARTED):
                ended = "the process was killed by signal %d" % number if number else "the process ended with exit code %d" % code
                self.give_up(said.decode(errors="replace") or "importing %s: %s" % (self.options.inference, ended))
            if time.monotonic() - started < 0.2:
                time.sleep(0.2)  # code that dies at once must not take the machine with it
            self.spawn()

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
        for pid, (reading, _) in self.workers.items():
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except OSError:
                pass
            os.close(reading)
        self.workers = {}


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
