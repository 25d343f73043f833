"""A function that does what its caller sends: the tests attack from inside a user's container with it."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor


def run(inputs: list) -> list:
    """Executes Python.

    :param inputs.code: what is executed; it leaves its answer in answer
    :type inputs.code: str
    :param inputs.given: what it works on
    :type inputs.given: str, optional
    :param inputs.file: a file of the caller
    :type inputs.file: FILE, optional
    :param outputs.answer: what it left, as JSON
    :type outputs.answer: str
    """
    values = {i["name"]: i["data"] for i in inputs}
    scope = {"given": json.loads(values.get("given", "null")), "file": values.get("file"), "answer": None, "outputs": [], "calls": calls}
    exec(values["code"], scope)
    return scope["outputs"] + [{"name": "answer", "datatype": "str", "data": json.dumps(scope["answer"])}]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def call(c: dict) -> list:
    """Makes one call, {"method", "url", "headers", "body"}, and gives its status (0: none) and the text of its answer."""
    body = c.get("body")
    r = urllib.request.Request(c["url"], None if body is None else body.encode(), c.get("headers") or {}, method=c.get("method", "GET"))
    try:
        with _opener.open(r, timeout=c.get("timeout", 60)) as a:
            return [a.status, a.read(100_000).decode("utf-8", "replace")]
    except urllib.error.HTTPError as e:
        return [e.code, e.read(100_000).decode("utf-8", "replace")]
    except OSError as e:
        return [0, str(e)]


def calls(all: list, parallel: int = 8) -> list:
    """Makes calls, some at a time."""
    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(call, all))
