"""A Python of its own that has to import everything, and the CPU time that it took."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str
    seconds: float  # of CPU time, its own and the system's for it


def run_python(*words, cwd):
    """Run Python with the words in a folder, from this checkout."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [sys.executable, *map(str, words)], cwd=cwd, env=env, stdout=out, stderr=err
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        return Ended(process.returncode, out.read(), err.read(), used.ru_utime + used.ru_stime)
