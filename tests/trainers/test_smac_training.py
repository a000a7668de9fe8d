"""examples/smac_rqmix.py on SMAC, in the stand-in of `tests/sc2_server`, which is not the game."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict

from torchrl_drigm.evaluation import read_metrics
from torchrl_drigm.trainers.training import leave_out_lost_steps

pytest_plugins = ["tests.sc2_server.fixtures"]
# See tests/envs/test_smac.py.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Call to deprecated create function:DeprecationWarning"
)
ROOT = Path(__file__).parents[2]
SMALL = [
    "env=smac",
    "map_name=3m",
    "env.num_envs=2",
    "agent.hidden_size=8",
    "optim.updates_per_batch=2",
    "replay.batch_size=4",
    "replay.size=50",
    "collector.frames_per_batch=64",
    "exploration.annealing_frames=300",
    "evaluation.interval=200",
    "evaluation.episodes=2",
    "evaluation.num_envs=2",
    "log_interval=10",
    "progress_bar=false",
]


def run(folder, *overrides):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "examples/smac_rqmix.py", *SMALL, *overrides]
    done = subprocess.run(
        [*command, f"hydra.run.dir={folder}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_steps_of_a_lost_connection_are_masked():
    """The losses leave out what ("collector", "mask") leaves out; see their own tests."""
    lost = torch.zeros(2, 4, 1, dtype=torch.bool)
    lost[1, 2] = True
    batch = TensorDict({"next": {"info": {"connection_lost": lost}}}, [2, 4])
    mask = leave_out_lost_steps(batch)["collector", "mask"]
    assert mask.tolist() == [[True] * 4, [True, True, False, True]]


@pytest.mark.smac
@pytest.mark.slow
def test_training_survives_a_killed_game_and_resumes(game, tmp_path):
    game.control(faults=[{"kind": "die", "request": "step", "after": 40}])
    printed = run(tmp_path / "run", "collector.total_frames=320")
    assert "contamination QMIX" in printed
    assert len(game.pids()) == 7, "two games to train in, two and two to test in, one started anew"
    assert not game.running(10)
    metrics = read_metrics(tmp_path / "run")
    assert metrics["win_rate_clean"].notna().sum() == 1
    assert metrics["loss"].dropna().between(0, 1e6).all()

    checkpoint = tmp_path / "run" / "checkpoint"
    run(tmp_path / "unused", "collector.total_frames=448", f"resume={checkpoint}")
    assert read_metrics(tmp_path / "run")["frames"].max() == 448
    assert not game.running(10)
