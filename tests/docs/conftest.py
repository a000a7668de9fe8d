"""The files that docs/extending.md shows, as a user has them: in a folder of their own."""

import shutil
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def users_folder(tmp_path, monkeypatch):
    """Copies examples into an empty folder, which is the current one and on Python's path."""
    before = set(sys.modules)

    def copy(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(EXAMPLES / file, tmp_path / file)
        return tmp_path

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield copy
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) in map(str, tmp_path.rglob("*.py")):
            del sys.modules[name]
