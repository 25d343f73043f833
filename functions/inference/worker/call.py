"""One worker: imports the function, loads the model once, and answers calls, one at a time."""

import gc
import json
import os
import signal
import sys
import time

from unip_frames import ANSWER, CALL, EVENT, FAILED, HELLO, LOADED, MODEL, PROBLEM, READY, Incoming, connect, send, send_parts
from unip_lines import MAX_TRACEBACK, Lines, record
from unip_values import FLOATS, Declared, Fault, any_long, check_variables, checked, dumps, lenient, loads, output, pieces, plain, select

# Also here: beside, of worker.py.

ARGUMENTS = ("parameters", "inputs", "output_fields", "model_key", "model", "user")
# The type of what def makes.
FUNCTION = type(lambda: None)
# What the body of predict may have.
KEYS = {"parameters", "inputs", "output_fields", "model_key"}
# Exit status of a worker that said FAILED: it cannot start, and another one could not either.
CANNOT_START = 70
# Exit status of a worker that has lost its connection: the user's code has closed it, or the server has.
LOST = 71
# What a worker writes into the pipe of its reason once it has started.
STARTED = b"\0"
# The signal at which a worker writes to stderr where its threads are.
WHERE = signal.SIGUSR2
# While the function is imported and the model loaded the garbage collector runs after so many new objects, not after 700: what they make is kept, and looking at it again and again is some percent of the time.
YOUNG = 50000


def resolve(name):
    """package.module:function (also package.module.function), or a file of Python: /folder/file.py:function -> the function."""
    import importlib

    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    found = from_file(os.path.abspath(module)) if colon and module.endswith(".py") else importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError("%s is not a function" % name)
    return found


def from_file(path):
    """The module of a file, whatever its name; its folder is first on sys.path. Where it can, it has the name that an import would give it, for what others import and for pickles."""
    import importlib.util

    folder, file = os.path.split(path)
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    name = file[:-len(".py")]
    known = sys.modules.get(name)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == path:
        return known
    if known is not None:
        name = "unip_file_" + name  # json.py is no reason to take json from all others
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Compiled:
    """Counts the modules that are compiled until it ends: those without a .pyc that can be used, which every start compiles anew."""

    def __init__(self):
        from importlib.machinery import SourceFileLoader

        self.files, self.seconds, self.loader = [], 0.0, SourceFileLoader
        compiling = SourceFileLoader.source_to_code

        def source_to_code(loader, data, path, **named):
            started = time.monotonic()
            try:
                return compiling(loader, data, path, **named)
            finally:
                self.files.append(path)
                self.seconds += time.monotonic() - started

        self.counting = SourceFileLoader.source_to_code = source_to_code

    def end(self):
        """What it is now, for the server."""
        if self.loader.__dict__.get("source_to_code") is self.counting:  # else the user's code has put something there
            del self.loader.source_to_code  # it is inherited
        folders = {max((f for f in sys.path if path.startswith(f + "/")), key=len, default=os.path.dirname(path)) for path in self.files}
        return {"compiled_files": len(self.files), "compile_seconds": self.seconds, "compiled_in": sorted(folders)[:9]}


def hidden(folder, mounts):
    """The function's own folder must not be one of the mounts, nor lie in one: its modules would not be found."""
    for mount in filter(None, mounts.split(":")):
        if (folder + "/").startswith(mount + "/"):
            raise ValueError("connectedBoxes mounts a box at %s, which hides the function's folder %s: choose another mountPath" % (mount, folder))


def beneath(function):
    """The function that a decorator without functools.wraps has put into one that takes anything; else the function itself."""
    for _ in range(8):
        if type(function) is not FUNCTION or hasattr(function, "__wrapped__") or function.__code__.co_argcount + function.__code__.co_kwonlyargcount or not function.__code__.co_flags & 0x08:
            break
        try:
            held = [cell.cell_contents for cell in function.__closure__ or ()]
        except ValueError:  # a cell that is empty yet
            break
        held = [f for f in held if callable(f) and not isinstance(f, type) and f is not function]
        if len(held) != 1:
            break
        function = held[0]
    return function


def covered(folder):
    """What an error at the import may come from: the model's folder lies over one that modules are looked for in."""
    if folder and any((os.path.abspath(path) + "/").startswith(folder + "/") for path in sys.path):
        return "; modelPath mounts the model's folder over %s, which hides what the image has there: choose a folder of its own, like /models" % folder
    return ""


def declared(function):
    """The arguments to call the function with, out of ARGUMENTS."""
    if isinstance(function, type):
        raise TypeError("it is a class: name a function, an object that can be called, or its method (module:object.method)")
    if type(function) is FUNCTION and not hasattr(function, "__wrapped__"):
        code = function.__code__
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
    if strangers[:1] == ["self"]:
        raise TypeError("the function wants the argument 'self', it is a method of a class: name that of an object (module:object.method)")
    if strangers:
        raise TypeError("the function wants the argument %r; it is called with some of %s" % (strangers[0], ", ".join(ARGUMENTS)))
    return ARGUMENTS if everything else tuple(n for n in ARGUMENTS if n in names)


class Asked:
    """What the meta of a CALL says."""

    said = None
    has_files = None
    json = b""  # of the body, as it was read
    rest = b""
    floats = frozenset()  # inputs that have nothing but floats, as the server has found

    def __init__(self, meta):
        self.id = meta.decode("latin-1")
        if "\0" in self.id:
            request, _, self.rest = meta.partition(b"\0")
            self.id = request.decode("latin-1")

    def more(self):
        """What it says beside the request's id."""
        if self.said is None:
            self.said = json.loads(self.rest) if self.rest else {}
        return self.said

    def files(self):
        """The FILE values of this call; most have none."""
        if self.has_files is None:
            self.has_files = beside("files").Files(self.more())
        return self.has_files


class Worker:
    def __init__(self, options):
        self.options = options
        self.model = self.loop = None
        self.pid = os.getpid()
        self.server_writes = False  # numbers of answers: orjson is faster
        try:
            import orjson

            self.loads = lambda body: lenient(orjson.loads, body)
            # What orjson knows beside JSON becomes what it does without orjson; what it does not take (a text that is no UTF-8, an integer of more than 64 bits) is left to json.
            option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME

            def encode(value):
                try:
                    return orjson.dumps(value, default=plain, option=option)
                except (TypeError, RecursionError):
                    return dumps(value)

            self.dumps = encode
        except ImportError:
            self.loads, self.dumps, self.server_writes = loads, dumps, True

    def run(self):
        connection = connect(self.options.socket, os.getppid())
        self.guard(connection)
        send(connection, HELLO, {"role": "worker", "pid": self.pid, "spare": self.options.spare})
        usual = gc.get_threshold()
        gc.set_threshold(YOUNG)
        try:
            sys.path.insert(0, os.getcwd())
            hidden(os.getcwd(), self.options.mounts)
            if self.options.model_link:
                beside("link").make(self.options.model_link, self.options.model_file)
            started = time.monotonic()
            self.compiled = Compiled()
            self.function = resolve(self.options.inference)
            self.arguments = declared(beneath(self.function))
            self.load = resolve(self.options.model_loader) if self.options.model_loader else None
            took = time.monotonic() - started
        except BaseException as e:  # whatever the user's module raises while it is imported, sys.exit included
            self.fail(connection, "importing %s" % self.options.inference, e, covered(self.options.model_folder))
        docstring = beside("docstring")
        try:
            self.description = docstring.described(beneath(self.function))
        except docstring.DocstringError as e:
            self.fail(connection, "the docstring of %s" % self.options.inference, e)
        self.declared = Declared(self.description)
        if self.load is None:
            self.settle(usual)
            self.started()
        send(connection, READY, {
            "pid": self.pid, "description": self.description, "arguments": list(self.arguments),
            "name": str(getattr(self.function, "__name__", self.options.inference)), "import_seconds": took,
            **({} if self.load else self.compiled.end()),
        })
        incoming = Incoming(connection)
        while True:
            kind, meta, payload = incoming.receive()
            if kind is None:
                os._exit(LOST)
            if kind == MODEL:
                self.load_model(connection, json.loads(payload)["path"])
                self.settle(usual)
            elif kind == CALL:
                self.answer(connection, meta, payload)
            else:
                raise ValueError("a frame of type %d" % kind)

    @staticmethod
    def settle(usual):
        """What import and model have made stays: no collection looks at it again. The collector gets its usual thresholds back, unless the user's code has set others."""
        gc.freeze()
        if gc.get_threshold()[0] == YOUNG:
            gc.set_threshold(*usual)

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
            self.streams = Lines(sys.stdout, "stdout"), Lines(sys.stderr, "stderr")
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
            if hasattr(self.model, "__await__"):
                self.model = self.wait(self.model)
        except BaseException as e:
            self.fail(connection, "loading the model %s" % path, e)
        self.started()
        send(connection, LOADED, {"load_seconds": time.monotonic() - started, **self.compiled.end()})

    def fail(self, connection, doing, error, hint=""):
        import traceback

        flush()
        os.write(2, "".join(traceback.format_exception(type(error), error, error.__traceback__)).encode("utf-8", "backslashreplace"))  # whatever sys.stderr is now
        message = "%s: %s%s" % (doing, describe(error), hint)
        try:
            send(connection, FAILED, {"message": message})
        except OSError:
            pass
        if self.options.reason is not None:
            os.write(self.options.reason, message.encode()[:4000])
        os._exit(CANNOT_START)

    def answer(self, connection, meta, body):
        asked, parts = Asked(meta), None
        for stream in self.streams:
            stream.id = asked.id
        try:
            if not asked.rest:
                parts, said = self.call(body, asked)
            elif asked.more().get("events"):
                self.call_for_events(connection, body, asked)
                parts, said = [b"{}"], b""
            elif asked.more().get("form") == "v2":
                parts, said = self.call_v2(body, asked)
            else:
                parts, said = self.call(body, asked)
            if not said:
                kind, payload, parts = ANSWER, parts[0], None
        except Fault as f:
            kind, payload = PROBLEM, f.payload()
        except Exception as e:
            refused = refusal(e)
            if refused is None:
                import traceback

                record(2, "ERROR", "the function raised " + describe(e), request_id=asked.id, traceback=traceback.format_exc()[-MAX_TRACEBACK:])
                refused = Fault(500, "function-error", describe(e))
            else:
                record(2, "INFO", "the function refused the call: %d %s" % (refused.status, refused.detail[:1500]), request_id=asked.id)
            kind, payload = PROBLEM, refused.payload()
        finally:
            for stream in self.streams:
                if stream.rest:
                    stream.finish()
                stream.id = None
        flush()
        if os.getpid() != self.pid:
            os._exit(0)  # a fork that the function has made and let return: the answer is its parent's
        try:
            if parts is not None:
                send_parts(connection, ANSWER, parts, said)
            elif asked.has_files is not None:
                asked.files().send(connection, kind, payload)
            else:
                send(connection, kind, payload)
        except OSError:
            os._exit(LOST)

    def call(self, body, asked):
        request, known = self.parse(body, asked), self.declared.outputs
        values = [output(i, value, known) for i, value in enumerate(self.invoke(request, asked))]
        if request["output_fields"]:
            values = select(values, request["output_fields"])
        for i, value in enumerate(values):
            if value.get("datatype") == "FILE":
                values[i] = asked.files().open(i, value)
        return self.encode(values, self.server_writes and (asked.has_files is None or not asked.files().opened))  # the meta of files is theirs

    def call_v2(self, body, asked):
        v2 = beside("v2")
        request = v2.parse_v2(self, body, asked)
        return v2.encode_v2(self, [checked(i, value) for i, value in enumerate(self.invoke(request, asked))], request)

    def call_for_events(self, connection, body, asked):
        """Sends each output when the function gives it."""
        v2 = beside("v2") if asked.more().get("form") == "v2" else None
        request = v2.parse_v2(self, body, asked) if v2 else self.parse(body, asked)
        names = [f.get("name") if isinstance(f, dict) else f for f in request["output_fields"]]
        for i, value in enumerate(self.invoke(request, asked)):
            if names and checked(i, value)["name"] not in names:
                continue
            if v2:
                body = v2.encode_v2(self, [checked(i, value)], dict(request, output_fields=[], binary=False), False)[0][0]
            else:
                value = output(i, value, self.declared.outputs)
                if value.get("datatype") == "FILE":
                    raise Fault(501, "file-not-supported", "output %s is a FILE, which goes in no event" % value["name"])
                body = self.encode([value], False)[0][0]
            if os.getpid() == self.pid:
                send(connection, EVENT, body)

    def invoke(self, request, asked):
        """The outputs that the function gives. One that is None and that the docstring calls optional is not there."""
        given = pieces(self.run_function(request, asked))
        spare = self.declared.spare
        return (v for i, v in enumerate(given) if checked(i, v)["data"] is not None or v["name"] not in spare) if spare else given

    def run_function(self, request, asked):
        request["model"] = self.model
        if "user" in self.arguments:  # the gateway's word, never the caller's; None for nobody, and where the API does not pass it on
            request["user"] = asked.more().get("user")
        given = {}
        for name in self.arguments:
            given[name] = request[name]
        result = self.function(**given)
        if type(result) is list or type(result) is dict:
            return result
        if hasattr(result, "__await__"):
            result = self.wait(result)
        return self.items(result) if hasattr(result, "__aiter__") or hasattr(result, "__next__") else result

    def items(self, result):
        """What a generator yields, one after the other."""
        if not hasattr(result, "__aiter__"):
            yield from result
            return
        following = result.__aiter__()

        async def step():
            try:
                return True, await following.__anext__()
            except StopAsyncIteration:
                return False, None

        while True:
            more, item = self.wait(step())
            if not more:
                return
            yield item

    def wait(self, result):
        """What an awaitable gives, on the one event loop of this worker: what the user's code has opened there lives as long as the worker. Between calls the loop stands still."""
        import asyncio

        async def run():
            return await result

        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(run())

    def read(self, body, asked):
        """The JSON of a request, long lists of whose numbers the server may have read."""
        taken = asked.rest and asked.more().get("numbers")
        if not taken:
            asked.json = body
            return self.loads(body)
        lists, asked.json = beside("lists").unpack(body, taken)
        request = self.loads(asked.json)
        asked.floats = set()
        for i, data, floats, whole in lists:
            value = request["inputs"][i]
            value["data"] = data
            if floats and (not whole or value.get("datatype") in FLOATS):
                asked.floats.add(i)
            else:
                for n in whole:
                    data[n] = int(data[n])
        return request

    def parse(self, body, asked):
        try:
            request = self.read(body, asked)
        except (ValueError, RecursionError) as e:
            raise Fault(400, "invalid-json", "the body is not JSON: %s" % e, "")
        if not isinstance(request, dict):
            raise Fault(400, "invalid-request", "the body must be an object with inputs", "")
        inputs = request.get("inputs")
        if inputs is None:
            inputs = []
            strangers = request.keys() - KEYS
            if strangers and "inputs" not in request:
                stranger = next(key for key in request if key in strangers)
                raise Fault(400, "invalid-request", 'the body has no inputs, but %.40r; it is {"inputs": [{"name": …, "data": …}]}' % stranger, "/" + stranger.replace("~", "~0").replace("/", "~1"))
            request["inputs"] = inputs
        check_variables(inputs, self.declared, asked)
        for key in ("parameters", "output_fields"):
            if request.get(key) is None:
                request[key] = []
            elif not isinstance(request[key], (list, dict)):
                raise Fault(400, "invalid-request", "%s must be a list" % key, "/" + key)
        return {
            "inputs": inputs, "parameters": request["parameters"], "output_fields": request["output_fields"],
            "model_key": request.get("model_key"),
        }

    def encode(self, values, binary):
        """The answer's body, as parts of the frame's, and the frame's meta."""
        placed = beside("lists").place(values, binary) if any_long(values) else ()
        try:
            body = self.dumps({"outputs": values})
        except (TypeError, ValueError, RecursionError, OverflowError) as e:
            raise Fault(500, "invalid-result", self.culprit(values) or "the function's result cannot be encoded: %s" % e)
        return beside("lists").fill(body, placed) if placed else ([body], b"")


    @staticmethod
    def culprit(values):
        """Which output it is that has no JSON, and why."""
        for value in values:
            try:
                dumps(value)
            except (TypeError, ValueError, OverflowError) as e:
                return "output %s of the function %s" % (value["name"], e)
            except RecursionError:
                return "output %s of the function is nested too deeply, or holds itself" % value["name"]
        return None


def refusal(error):
    """The problem that the function means by an exception with a status of HTTP and a detail; None for any other one. One of both alone says nothing: clients of other services raise their answers."""
    try:
        status = getattr(error, "status", None)
        status = getattr(error, "status_code", None) if status is None else status
        detail, pointer = getattr(error, "detail", None), getattr(error, "pointer", None)
    except Exception:
        return None
    if not isinstance(status, int) or not 400 <= status <= 599 or not isinstance(detail, str):
        return None
    return Fault(int(status), "refused", detail, pointer if isinstance(pointer, str) else None)


def describe(error):
    try:
        text = str(error)
    except Exception:  # a __str__ of the user's
        text = ""
    return "%s: %s" % (type(error).__name__, text[:1500]) if text else type(error).__name__


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed, or an object of the user's that has no flush
            pass
