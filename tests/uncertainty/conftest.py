import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def chi_squared(monkeypatch):
    """The module of the worked example, imported as a user would."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import chi_squared

    yield chi_squared
    sys.modules.pop("chi_squared")
