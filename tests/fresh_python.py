"""Commands in a Python of their own, of which only the large packages are imported already."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")
# one thread, as the others would not be there after a fork
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class FreshPython:
    """Runs Python as :func:`subprocess.run` does: ``python("-m", "torchrl_drigm", cwd=folder)``.

    Elsewhere than on Linux, where a fork may do no more than start a program, it does just that.

    Args:
        path (str): the socket of a :class:`ForkServer`.
    """

    def __init__(self, path):
        self.path = path

    def __call__(self, *words, cwd, timeout=300, **env):
        """Exit status, output and errors; the environment is this one with ``env``."""
        words, env = [str(word) for word in words], {**os.environ, **env}
        if sys.platform != "linux":
            command = [sys.executable, *words]
            return subprocess.run(
                command, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
            )
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"words": words, "cwd": str(cwd), "env": env, "timeout": timeout}
            code = self._ask({**request, "out": str(out), "err": str(err)})
            return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())

    def _ask(self, request):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            connection.sendall(f"{json.dumps(request)}\n".encode())
            with connection.makefile() as lines:
                return int(lines.readline())


class ForkServer:
    """The process that forks, from here until :meth:`close`; its socket is ``path``."""

    def __init__(self, path):
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [sys.executable, SERVER, path],
            cwd=SERVER.anchor,
            env={**env, **SINGLE, "MPLBACKEND": "Agg"},
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while not os.path.exists(path):
            time.sleep(0.01)
            if self.process.poll() is not None:
                raise RuntimeError(f"{SERVER} has ended: {self.process.returncode}")

    def close(self):
        """Ends the process."""
        with self.process:  # closes its input
            pass
