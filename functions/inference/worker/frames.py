"""Frames between worker and server; functions/inference/internal/frame is the other side.

A frame is 8 bytes, type (1), length of the meta (3, big endian), length of the body (4, big endian); then the meta and the body. Bodies are JSON, those of CALL and ANSWER the body of the HTTP request and
answer, but for what the meta says. The meta of CALL is the request's id and, where there is more to say of the call, a zero byte and a JSON object; of ANSWER it is such an object, or empty. {"form": "v2", …} is a
call of the Open Inference Protocol, {"json_size": …} a body with binary tensors behind the JSON; {"numbers": …} says which lists the server has taken out of a CALL's JSON and put before it (lists.unpack), and where
those before an ANSWER's JSON belong in it (lists.fill). Files that the function returns go with an ANSWER as descriptors (files.py).
"""

import _socket as socket  # what socket is made of: importing that takes longer than all of this file
import json
import os
import struct
import time

HELLO, READY, FAILED, MODEL, LOADED, CALL, ANSWER, PROBLEM, KILL, EXIT, SPARE, CROWDED, REPLACE, REVEAL, REVEALED, EVENT = range(1, 17)

HEADER = struct.Struct(">II")
MAX_BODY = 256 << 20
MAX_META = 1 << 20


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
    """A connection that is only received from, through a buffer: frames of usual size cost one system call together, not one for each of their parts. Not for who polls the connection."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = bytearray(65536)
        self.view = memoryview(self.buffer)
        self.at = self.end = 0

    def receive(self):
        """As receive does it; a frame that is whole in the buffer is only copied out of it."""
        if self.at == self.end:
            self.at, self.end = 0, self.connection.recv_into(self.view)
        at = self.at + HEADER.size
        if at <= self.end:
            first, size = HEADER.unpack_from(self.buffer, self.at)
            body = at + (first & 0xFFFFFF)
            if body + size <= self.end:
                self.at = body + size
                return first >> 24, self.buffer[at:body], self.buffer[body:self.at]
        return receive(self)

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
    """A frame whose body is several byte buffers; none of them is copied but small ones."""
    size = sum(map(len, parts))
    header = HEADER.pack(kind << 24 | len(meta), size) + meta
    if size < 65536:
        connection.sendall(header + b"".join(parts))
        return
    connection.sendall(header)
    for part in parts:
        connection.sendall(part)
