"""Commands in a Python of their own, of which only the large packages are imported already."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = Path(__file__).with_name("fork_server.py")
# one thread, as the others would not be there after a fork
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class FreshPython:
    """Runs Python as :func:`subprocess.run` does: ``python("-m", "torchrl_drigm", cwd=folder)``.

    Elsewhere than on Linux, where a fork may do no more than start a program, it does just that.
    """

    def __init__(self):
        self.server = None

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
        if self.server is None:
            env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            self.server = subprocess.Popen(
                [sys.executable, SERVER],
                cwd=SERVER.anchor,
                env={**env, **SINGLE, "MPLBACKEND": "Agg"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def close(self):
        """Ends the server."""
        if self.server is not None:
            with self.server:  # closes its input
                pass
