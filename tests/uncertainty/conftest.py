import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def mean_cvar(monkeypatch):
    """The module of the worked example, imported as a user would."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import mean_cvar

    yield mean_cvar
    sys.modules.pop("mean_cvar")
