"""Functions that the tests call: they answer with what they were given and with what they can see."""

import os


def echo(inputs: list, parameters: list) -> list:
    """Answers with its inputs.

    :param inputs.text: anything
    :type inputs.text: str, optional
    :param outputs.text: the same
    :type outputs.text: str, optional
    """
    return inputs


def model_text(model) -> list:
    """Answers with the text of the model file.

    :param outputs.text: the file's text
    :type outputs.text: str
    """
    with open(model) as f:
        return [{"name": "text", "datatype": "str", "data": f.read()}]


def surroundings() -> list:
    """Answers with what the process could reach: its environment and the files that may hold secrets.

    :param outputs.env: the environment
    :type outputs.env: dict
    :param outputs.files: readable files below /var/run and /unip
    :type outputs.files: dict
    """
    files = {}
    for top in ("/var/run/secrets", "/run/secrets", "/unip"):
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, errors="replace") as f:
                        files[path] = f.read(4096)
                except OSError:
                    pass
    return [
        {"name": "env", "datatype": "dict", "data": dict(os.environ)},
        {"name": "files", "datatype": "dict", "data": files},
    ]


def reach(inputs: list) -> list:
    """Answers with what becomes of a connection to each address.

    :param inputs.text: host:port
    :type inputs.text: str, optional
    :param outputs.reached: by address: connected, or why not
    :type outputs.reached: dict
    """
    import socket

    reached = {}
    for address in [i["data"] for i in inputs]:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
            reached[address] = "connected"
        except OSError as e:
            reached[address] = str(e)
    return [{"name": "reached", "datatype": "dict", "data": reached}]


def louder(inputs: list) -> list:
    """Answers with the letters of a text file as capitals, in a file; and with who it is that read it.

    :param inputs.text: a text file
    :type inputs.text: FILE
    :param outputs.louder: the same in capitals
    :type outputs.louder: FILE
    :param outputs.uids: the user of this process, and the owner of the file
    :type outputs.uids: INT32
    """
    import tempfile

    path = inputs[0]["data"]
    with open(path) as f, tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as g:
        g.write(f.read().upper())
    return [
        {"name": "louder", "datatype": "FILE", "data": g.name, "content_type": "text/plain"},
        {"name": "uids", "datatype": "INT32", "data": [os.getuid(), os.stat(path).st_uid]},
    ]


def doubled(inputs: list) -> list:
    """Doubles numbers.

    :param inputs.numbers: some
    :type inputs.numbers: FP32
    :param outputs.numbers: twice as much
    :type outputs.numbers: FP32
    """
    print("doubling", len(inputs[0]["data"]))
    return [{"name": "numbers", "datatype": "FP32", "data": [2 * n for n in inputs[0]["data"]]}]


def capabilities() -> list:
    """Answers with the capabilities that a process of this container can ever have.

    :param outputs.bounding: as /proc/self/status has them
    :type outputs.bounding: str
    """
    with open("/proc/self/status") as f:
        line = next(line for line in f if line.startswith("CapBnd:"))
    return [{"name": "bounding", "datatype": "str", "data": line.split()[1]}]


def lies_at(*places):
    """Texts of the files below folders, by path; a link's is what it leads to."""
    found = {}
    for place in places:
        for folder, _, names in os.walk(place):
            for name in names:
                try:
                    with open(os.path.join(folder, name), errors="replace") as f:
                        found[os.path.join(folder, name)] = f.read(4096)
                except OSError as e:
                    found[os.path.join(folder, name)] = str(e)
    return found


WHEN_IMPORTED = lies_at(*os.environ.get("MOUNTS", "").split())


def mounted(inputs: list) -> list:
    """Writes texts to paths, and answers with what lay in the folders of MOUNTS when this was imported, and lies there now.

    :param inputs.text: path=text, "private:path=text" for its owner only, "link:path=target", or nothing
    :type inputs.text: str or FILE
    :param outputs.imported: texts by path, at the import
    :type outputs.imported: dict
    :param outputs.now: texts by path
    :type outputs.now: dict
    :param outputs.failed: why a path cannot be written, by path
    :type outputs.failed: dict
    """
    failed = {}
    for i in inputs:
        path, equals, text = i["data"].partition("=")
        try:
            if path.startswith("link:"):
                os.symlink(text, path[5:])
            elif path.startswith("private:"):
                os.makedirs(os.path.dirname(path[8:]), 0o700, exist_ok=True)
                with open(path[8:], "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
                    f.write(text)
            elif equals:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as f:
                    f.write(text)
        except OSError as e:
            failed[path] = str(e)
    now = lies_at(*os.environ.get("MOUNTS", "").split())
    return [{"name": n, "datatype": "dict", "data": d} for n, d in (("imported", WHEN_IMPORTED), ("now", now), ("failed", failed))]


def who(user) -> list:
    """Answers with who calls.

    :param outputs.who: the caller's identity, - for nobody
    :type outputs.who: str
    """
    return [{"name": "who", "datatype": "str", "data": user or "-"}]


def wait(inputs: list) -> list:
    """Answers after some time.

    :param inputs.seconds: how long
    :type inputs.seconds: FP32
    :param outputs.seconds: the same
    :type outputs.seconds: FP32
    """
    import time

    seconds = inputs[0]["data"][0]
    time.sleep(seconds)
    return [{"name": "seconds", "datatype": "FP32", "data": [seconds]}]
