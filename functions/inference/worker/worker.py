"""Calls one Python function for unip's inference server.

    python3 worker.py --socket PATH --inference MODULE:FUNCTION [--model-loader MODULE:FUNCTION] [--workers N] [--mounts PATH:PATH] [--model-link PATH --model-file PATH | --model-folder PATH] [--memory-limit BYTES]

MODULE is package.module, or a file: /folder/file.py. --memory-limit is of all workers together, where there is no container that has one and somebody else sees to it.

Two kinds of process. The supervisor, the first one, never imports the user's code: it forks the workers, reaps them, kills one on the server's word, and ends the container with the reason
when a worker cannot start. A worker imports the function, loads the model once and answers calls, one at a time (call.py). All of them connect to the Unix socket on which the server listens.

Beside this file: frames.py, what goes over the socket; call.py, a worker; values.py, what its calls are given and return; lines.py, the log: what the function prints while it answers a call goes there a line at a time,
with the request's id; docstring.py, the docstring of the function as a specification. Read at the first call that needs them, for every line costs at a cold start: files.py, FILE values; lists.py, long lists of numbers;
v2.py, the Open Inference Protocol. link.py only for a model in a folder of the image.

Standard library of Python 3.8 or later only; it writes nothing but /dev/termination-log; orjson and numpy are used when the image has them.
"""

import os
import signal

if __name__ == "__main__":
    # Before the other imports: this is PID 1 of its container, to which the kernel gives no signal that has no handler.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

import json
import stat
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
TERMINATION_LOG = "/dev/termination-log"
# How many workers in a row may end before they could answer, where others could.
TRIES = 5


def beside(name):
    """The module of a file beside this one, read when it is first asked for; from then on it can be imported as unip_NAME. Not found by import itself: its folder is not on the user's sys.path."""
    module = sys.modules.get("unip_" + name)
    if module is None:
        module = sys.modules["unip_" + name] = type(sys)("unip_" + name)
        module.__file__, module.beside = os.path.join(FOLDER, name + ".py"), beside
        with open(module.__file__, encoding="utf-8") as f:
            exec(compile(f.read(), module.__file__, "exec"), module.__dict__)
    return module


# Each finds those before it.
beside("frames")
beside("lines")
beside("values")
beside("call")

from unip_call import LOST, STARTED, WHERE, Worker, flush
from unip_frames import CROWDED, EXIT, HELLO, KILL, REPLACE, REVEAL, REVEALED, SPARE, connect, receive, send
from unip_lines import record


class Child:
    """A worker as its supervisor sees it."""

    def __init__(self, reading, spare):
        self.reading = reading  # end of the pipe of its reason
        self.spare = spare  # it is one more than there should be: nothing takes its place when it ends
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
            elif kind == SPARE:
                self.start_spare(**json.loads(payload))
            elif kind == REPLACE:
                self.replace(**json.loads(payload))
            elif kind == REVEAL:
                self.reveal(**json.loads(payload))
        self.reap()
        return True

    def kill(self, pid, why="", **_):
        # One that ends by itself has its own reason; the kernel closes its connection, which the server saw, a little before it can be reaped.
        at_once = why in ("deadline", "replaced")
        for _ in range(1 if at_once else 20):
            self.reap()
            if pid not in self.workers:
                return
            if not at_once:
                time.sleep(0.005)
        self.asked.add(pid)
        if why == "deadline":
            record(2, "WARN", "a call overran its time and its worker is killed; it was here", worker=pid)
            os.kill(pid, WHERE)
            time.sleep(0.05)  # to write it
        end(pid)

    def start_spare(self, grown=0, **_):
        """One worker more than there should be, to try a newer model beside the one in service, which is so many bytes smaller; where memory does not hold both, the server is told."""
        each = [own_memory(pid) for pid in self.workers]
        there_is = (self.options.memory_limit, sum(each)) if self.options.memory_limit else memory()
        why = crowded(there_is, max(each, default=0), grown)
        if why:
            send(self.connection, CROWDED, {"why": why})
        else:
            self.spawn(spare=True)

    def replace(self, pid, by, **_):
        """The spare worker stays, and the other one goes when it has answered."""
        if by not in self.workers:
            return  # it has ended: the other one is replaced as usual
        self.workers[by].spare = False
        if pid in self.workers:
            self.workers[pid].spare = True
        elif self.due:
            self.due.pop()

    def reveal(self, number, paths, **_):
        """The server is another user: what the user's code has made for its owner only, as tempfile does, is opened to it."""
        for path in paths:
            reveal(path)
        send(self.connection, REVEALED, {"number": number})

    def spawn(self, spare=False):
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
                self.options.reason, self.options.spare = writing, spare
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
        self.workers[pid] = Child(reading, spare)

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
            news = {"pid": pid, "code": code, "signal": number, "oom": oom, "asked": pid in self.asked or code == LOST, "spare": child.spare}
            self.asked.discard(pid)
            try:
                send(self.connection, EXIT, news)
            except OSError:
                pass
            if child.spare:
                continue
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


def reveal(path):
    """Lets everybody read a file, or a folder and all in it. No link is followed; what is somebody else's stays as it is."""
    left = [path]
    while left:
        at = left.pop()
        try:
            mode = os.lstat(at).st_mode
            wanted = 0o555 if stat.S_ISDIR(mode) else 0o444 if stat.S_ISREG(mode) else 0
            if mode & wanted != wanted:
                os.chmod(at, stat.S_IMODE(mode) | wanted)
            if stat.S_ISDIR(mode):
                left += [os.path.join(at, name) for name in os.listdir(at)]
        except OSError:
            pass  # it has gone, or is not the user's


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


def own_memory(pid):
    """What a process holds beside mapped files, in bytes: what another one like it would take."""
    held = 0
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(("RssAnon:", "RssShmem:")):
                    held += int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass  # it has ended, or this is no Linux
    return held


def memory():
    """The container's limit of memory and what is used of it beside caches of files; None where there is no limit."""
    for limit, used, details in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat"),
    ):
        try:
            with open(limit) as f, open(used) as g, open(details) as h:
                cached = sum(int(line.split()[1]) for line in h if line.startswith(("active_file ", "inactive_file ")))
                return int(f.read()), int(g.read()) - cached
        except (OSError, ValueError):
            pass  # another version of cgroups, or "max"
    return None


def crowded(there_is, taken, grown):
    """Why memory, of which there is a limit and what is used, does not hold another worker beside one that takes so much, with a model that is larger by grown; "" when it does. A tenth is for what loading takes on top."""
    need = taken + taken // 10 + grown
    if there_is is None or there_is[0] - there_is[1] >= need:
        return ""
    return "another worker takes about %d MiB, and of the container's %d MiB %d are in use" % (need >> 20, there_is[0] >> 20, there_is[1] >> 20)


class Options:
    """The flags, by their names with _ for -; reason is the pipe of a worker's reason, spare says that it is one more than there should be."""

    socket = inference = None
    model_loader = mounts = model_link = model_file = model_folder = ""
    workers = "1"
    memory_limit = "0"
    reason = None
    spare = False

    def __init__(self, arguments):  # argparse would take another 7 ms at every start
        rest = iter(arguments)
        for argument in rest:
            name, equals, value = argument.partition("=")
            key = name[2:].replace("-", "_")
            if not name.startswith("--") or key not in ("socket", "inference", "model_loader", "workers", "mounts", "model_link", "model_file", "model_folder", "memory_limit"):
                sys.exit("worker: unknown argument %s; see the beginning of %s" % (argument, __file__))
            setattr(self, key, value if equals else next(rest, ""))
        if not self.socket or not self.inference or not self.workers.isdigit() or int(self.workers) < 1:
            sys.exit("worker: --socket, --inference and a number of --workers are wanted; see the beginning of %s" % __file__)
        self.workers, self.memory_limit = int(self.workers), int(self.memory_limit)


def main():
    options = Options(sys.argv[1:])
    sys.argv = [options.inference]  # the user's code does not see these flags
    sys.path.pop(0)  # this file's folder
    Supervisor(options).run()


if __name__ == "__main__":
    main()
