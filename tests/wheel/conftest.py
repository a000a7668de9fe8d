"""The package as somebody has it who installed the wheel: unpacked, outside of the checkout."""

import shutil
import zipfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run(python):
    """Runs Python with arguments in a folder; gives exit status, output and errors."""

    def run(*command, cwd, **env):
        done = python(*command, cwd=cwd, **env)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="session")
def wheel(run, tmp_path_factory):
    """The files of the wheel, unpacked as an installation has them."""
    # not imported here: setuptools fails where something has imported distutils before
    found = metadata.version("setuptools") if find_spec("setuptools") else "0"
    if int(found.partition(".")[0]) < 77:
        pytest.skip('needs setuptools 77 or newer: pip install "setuptools>=77"')
    source = tmp_path_factory.mktemp("source")  # building leaves files where it runs
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "torchrl_drigm",
        source / "torchrl_drigm",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    code, _, errors = run("-c", build, cwd=source, PYTHONWARNINGS="ignore")
    assert code == 0, errors[-3000:]
    site = tmp_path_factory.mktemp("site")
    (file,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(site)
    return site
