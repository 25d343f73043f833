"""FILE values; read at the first call that has some."""

import _socket as socket
import array
import json
import os
import stat

from unip_call import describe
from unip_frames import ANSWER, HEADER, send
from unip_values import Fault


class Files:
    """The FILE values of one call. The server has fetched those of the inputs; those of the outputs are opened here and handed over as descriptors, for the server opens no path of this container. Where the
    server will store them it has said in the meta: {"files": [{"input": 0, "path": "…"}], "upload": "<box>/<group>/"}; the meta of the answer is {"files": [{"output": 0, "name": "…"}]}."""

    MOST = 64  # descriptors with one message; functions/inference/internal/rights is the other side

    def __init__(self, asked):
        self.asked = asked
        self.opened, self.told, self.names = [], [], set()

    def take(self, i, value):
        """Gives input i the path of its file."""
        for fetched in self.asked.get("files", ()):
            if fetched["input"] == i:
                value["data"] = fetched["path"]
                return
        raise Fault(501, "file-not-supported", "input %s is a FILE, and the server has none for it: the component is connected to no box, or the body is no strict JSON" % value["name"], "/inputs/%d/datatype" % i)

    def open(self, i, value):
        """Opens the file of an output; the result says where it will be."""
        upload = self.asked.get("upload")
        if upload is None:
            raise Fault(501, "file-not-supported", "output %s is a FILE, but the component is connected to no box that it could be stored in" % value["name"])
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
        """Sends an answer with the files; with a problem they are only closed."""
        try:
            if kind != ANSWER or not self.opened:
                send(connection, kind, body)
                return
            meta = json.dumps({"files": self.told}).encode()
            header = HEADER.pack(kind << 24 | len(meta), len(body)) + meta
            sent = connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self.opened))])
            connection.sendall(header[sent:])
            connection.sendall(body)
        finally:
            for descriptor in self.opened:
                os.close(descriptor)
