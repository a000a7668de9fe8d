"""Python that has imported the large packages, and forks for every command that it is sent.

Imports are most of the time of a small command; all processes of a test run share one server, which
imports when it is first asked, and ends when its standard input does. Nothing of ``torchrl_drigm``
is imported before the fork: where it comes from, and what it imports, is the command's own.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import types
import warnings

# Those without threads of their own, which a fork would not have.
PACKAGES = (
    *("torch", "tensordict", "torchrl.collectors", "torchrl.data", "torchrl.envs"),
    *("torchrl.modules", "torchrl.objectives", "torchrl.trainers", "hydra", "pandas"),
    *("matplotlib.pyplot", "scipy.optimize", "sustaingym.envs.building", "vmas"),
)


def main(path):
    """Serve until the standard input ends; a fork returns what it is to run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who ask
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        imported = False
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if not imported:
                imports()
                imported = True
            with connection:
                if not os.fork():
                    listening.close()
                    return answer(connection)
    return None


def imports():
    """The packages, once."""
    for package in PACKAGES:
        with contextlib.suppress(ImportError), contextlib.redirect_stdout(sys.stderr):
            importlib.import_module(package)
    gc.freeze()  # a collection in a fork would copy all that it looks at


def answer(connection):
    """Run what the connection asks for in a fork, which returns it, and send back its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with connection, connection.makefile() as lines:
        request = json.loads(lines.readline())
        if not (pid := os.fork()):
            return request
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(f"{code}\n".encode())
    return None


def become(words, cwd, env, out, err, timeout):
    """As if Python had been started in that folder, with those words and that environment."""
    for number, (path, mode) in enumerate([(os.devnull, "r"), (out, "w"), (err, "w")]):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    signal.alarm(timeout)  # ends the process
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    if "PYTHONWARNINGS" in env:
        warnings.simplefilter(env["PYTHONWARNINGS"])
    sys.path[:0] = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = words
    if first == "-m":
        sys.path.insert(0, str(cwd))
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(module))
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(first)))
        sys.argv = words
        runpy.run_path(first, run_name="__main__")


def leave(code):
    """As an interpreter does, but for taking all modules apart, which takes a second."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    del sys.path[0]  # this folder
    if request := main(sys.argv[1]):
        try:
            become(**request)
        except SystemExit as end:
            leave(end.code)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            leave(1)
        leave(0)
