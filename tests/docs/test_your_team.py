"""What docs/your_team.md says, done with a small run in place of `RUN`."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers.program_files import missing_for_onnx

pytestmark = pytest.mark.sustaingym
PAGE = (Path(__file__).parents[2] / "docs" / "your_team.md").read_text()
COMMANDS = [
    shlex.split(line, comments=True)[3:]
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python -m torchrl_drigm ")
]
ACT, EVALUATE, WITHOUT_PACKAGE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def trained(folder, *overrides):
    cfg = config("collector.total_frames=32", *overrides)
    torch.manual_seed(0)
    run = trainers.build(cfg, folder)
    run.train()
    return run.run_dir


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seasons.yaml").write_text(f"- {re.search('{name: summer.*?}', PAGE)[0]}\n")
    return tmp_path


def command(words, run_dir):
    words = [str(run_dir) if word == "RUN" else word for word in words]
    main(words + ["--episodes", "1"] * (words[0] == "evaluate"))


OWN = "evaluation_own_env_1_NewYork_Hot_Humid-Tampa_days-0-199_days-200-364"


def test_acting_for_a_day_is_what_evaluation_plays(run_dir):
    names = {"RUN": str(run_dir)}
    exec(ACT, names)
    assert len([line for line in ACT.splitlines() if line]) <= 10
    shift = {"name": "day", "climate": ("Mixed_Humid", "NewYork"), "days": (180, 181)}
    played = evaluate(names["team"], suite=[shift], episodes=1)
    assert names["earned"] == pytest.approx(played["return"].item(), rel=1e-5)
    exec(EVALUATE, names)
    assert list(names["results"]["location"]) == ["NewYork"] * 2


@pytest.mark.slow
def test_commands_run_and_write_where_the_page_says(tmp_path_factory, here, capsys):
    run_dir = trained(tmp_path_factory.mktemp("run"), "env.time_res=3600")  # a day is soon over
    before = {path.name for path in run_dir.iterdir()}
    for words in COMMANDS:
        command(words, run_dir)
    assert len(COMMANDS) == 7
    assert {path.name for path in run_dir.iterdir()} - before == {
        *("evaluation_climate.csv", "evaluation_climate.png"),
        *(f"{OWN}.csv", f"{OWN}.png"),
    }
    assert {path.name for path in here.iterdir()} == {
        *("seasons.yaml", "results", "programs", "policy")
    }
    assert len(pd.read_csv(run_dir / f"{OWN}.csv")) == 6  # three climates, two ranges
    assert (here / "results" / "physics" / "evaluation_physics_NewYork.png").exists()
    assert "one-step oracle" in set(pd.read_csv(here / "results" / "seasons.csv")["policy"])
    printed = capsys.readouterr().out
    assert "  an episode of building: 288 actions" in printed  # 2 copies × 24 steps × 6 agents
    assert "The team alone is in policy" in printed


@pytest.mark.skipif(
    bool(missing_for_onnx()), reason='needs ONNX: pip install "torchrl_drigm[onnx]"'
)
def test_a_controller_without_the_package_acts_as_the_team(run_dir, here):
    (export,) = (words for words in COMMANDS if words[0] == "export" and "--keep" not in words)
    command(export, run_dir)
    names = {}
    exec(WITHOUT_PACKAGE, names)
    assert "torchrl_drigm" not in WITHOUT_PACKAGE
    env = trainers.load_team(run_dir).make_env()
    with torch.no_grad():
        day = env.rollout(12, trainers.load_team(run_dir))[0]
    for step in day:
        action = names["act"](step["agents", "observation"].numpy()[None])
        np.testing.assert_array_equal(action[0], step["agents", "action"].numpy())
