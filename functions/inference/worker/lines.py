"""The log of a worker: what the function prints while it answers a call goes there a line at a time, as JSON with the request's id, in the form of the server's."""

import json
import os
import time

# Longest text of one record in characters: with it a line of ASCII stays below the 4096 bytes that a pipe takes as a whole, also when several workers write to it. Longer lines become several records.
MAX_TEXT = 3000
# Longest traceback in characters: its end says most.
MAX_TRACEBACK = 10000


def record(descriptor, level, text, **more):
    """Writes one line of the log, in the form of the server's."""
    now = time.time()
    fields = {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%06dZ" % (now % 1 * 1e6), "level": level, "msg": text}
    fields.update(more)
    # A lone surrogate, which UTF-8 does not have, is written with a backslash: in JSON that is the same character.
    line = json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    try:
        while line:
            line = line[os.write(descriptor, line):]
    except OSError:
        pass  # nobody reads the log


class Lines:
    """Stands for sys.stdout or sys.stderr in a worker, from before the user's code is imported, since log handlers keep the stream that they found. During a call each line becomes a record with the
    request's id; else text passes as it is. Threads that a call has left behind are heard under the id of the call that runs."""

    def __init__(self, stream, name):
        self.stream, self.name, self.descriptor = stream, name, stream.fileno()
        self.flush = stream.flush  # after each call, so not by way of __getattr__
        self.id = None
        self.rest = ""  # of a line that has not ended
        self.unlock()

    def unlock(self):
        import _thread

        self.lock = _thread.RLock()

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        if self.id is None:
            return self.stream.write(text)
        with self.lock:
            lines = (self.rest + text).split("\n")
            self.rest = lines.pop()
            for line in lines:
                self.emit(line)
            while len(self.rest) > MAX_TEXT:
                self.emit(self.rest[:MAX_TEXT])
                self.rest = self.rest[MAX_TEXT:]
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def emit(self, line):
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1:]  # a progress bar: what would be seen at its end
        for at in range(0, len(line), MAX_TEXT):
            record(self.descriptor, "INFO", line[at:at + MAX_TEXT], request_id=self.id, stream=self.name)

    def finish(self):
        """The call has ended, and its last line with it."""
        with self.lock:
            rest, self.rest = self.rest, ""
            self.emit(rest)
