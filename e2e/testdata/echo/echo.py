"""Functions that the tests call: they answer with what they were given and with what they can see."""

import os


def echo(inputs: list, parameters: list) -> list:
    """Answers with its inputs.

    :param inputs.text: anything
    :type inputs.text: str
    :param outputs.text: the same
    :type outputs.text: str
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
    :type inputs.text: str
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
