"""What docs/quickstart.md does in Python and with a suite of its own, for a few steps."""

import re
from pathlib import Path

import pytest

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm.evaluation import evaluate

pytestmark = pytest.mark.sustaingym
PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()


def test_from_a_config_to_programs_and_a_suite_in_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    small = code.replace("20_000", "1_280").replace("episodes=20", "episodes=2")
    assert small.count("1_280") == small.count("episodes=2)") == 1
    names = {}
    exec(small, names)
    assert len(names["results"]) == 2 and names["results"]["day"].between(150, 239).all()
    assert Path("runs/mine/team.pt2").exists() and names["run"].trainer.collected_frames == 1_280

    (suite,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("seasons.yaml").write_text(suite)
    results = evaluate(names["team"], suite="seasons.yaml", episodes=2)
    assert list(results["shift"].unique()) == ["winter", "summer", "summer in New York"]
    assert set(results[results["shift"] == "summer in New York"]["location"]) == {"NewYork"}
