"""The package as somebody has it who installed the wheel: unpacked, outside of the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(*command, cwd, **env):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="session")
def run():
    """Runs Python with arguments in a folder; gives exit status, output and errors."""
    return _run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The files of the wheel, unpacked as an installation has them."""
    pytest.importorskip("setuptools", "77", reason="needs setuptools: pip install setuptools")
    source = tmp_path_factory.mktemp("source")  # building leaves files where it runs
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "torchrl_drigm",
        source / "torchrl_drigm",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    code, _, errors = _run("-W", "ignore", "-c", build, cwd=source)
    assert code == 0, errors[-3000:]
    site = tmp_path_factory.mktemp("site")
    (file,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(site)
    return site
