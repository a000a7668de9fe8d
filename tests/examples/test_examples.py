"""The example scripts, run as a newcomer would, with small numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from torchrl_drigm.evaluation import read_metrics

ROOT = Path(__file__).parents[2]


def run(script, *args, cwd):
    env = {**os.environ, "PYTHONWARNINGS": "default", "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *args],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )


class TestSustainGym:
    pytestmark = pytest.mark.sustaingym

    @pytest.fixture(autouse=True)
    def _needs_sustaingym(self):
        pytest.importorskip(
            "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
        )

    def test_run_leaves_everything_in_its_folder(self, tmp_path):
        overrides = [
            "collector.total_frames=5120",
            "optim.updates_per_batch=1",
            "replay.batch_size=8",
            "agent.hidden_size=8",
            "evaluation.episodes=2",
            "hydra.run.dir=run",
        ]
        done = run("sustaingym_rqmix.py", *overrides, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        names = {path.name for path in (tmp_path / "run").iterdir()}
        assert {
            "config.yaml",
            "checkpoint",
            "metrics",
            "evaluation.csv",
            "returns.png",
            "training.png",
        } <= names
        for text in ("env_1 Tucson", "TV QMIX", "one-step oracle", "evaluation.csv"):
            assert text in done.stdout
        assert "[torchrl]" not in done.stdout + done.stderr  # no logging chatter
        results = pd.read_csv(tmp_path / "run" / "evaluation.csv")
        assert len(results) == 5 * 6 * 2  # policies, climates, episodes
        frames = read_metrics(tmp_path / "run")["frames"].max()
        resumed = run(
            "sustaingym_rqmix.py",
            *overrides[1:-1],
            "collector.total_frames=7680",
            "resume=run/checkpoint",
            "hydra.run.dir=other",
            cwd=tmp_path,
        )
        assert resumed.returncode == 0, resumed.stderr
        assert read_metrics(tmp_path / "run")["frames"].max() > frames

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("optim.learning_rate=1", "learning_rate"),
            ("env.building=Castle", "OfficeSmall"),
            ("resume=nowhere", "no checkpoint at nowhere"),
        ],
    )
    def test_bad_input(self, tmp_path, override, message):
        done = run("sustaingym_rqmix.py", override, "hydra.run.dir=run", cwd=tmp_path)
        assert done.returncode != 0
        assert message in done.stderr

    def test_help(self, tmp_path):
        done = run("sustaingym_rqmix.py", "--help", cwd=tmp_path)
        assert done.returncode == 0
        for text in ("uncertainty: contamination, group_dr, none, tv", "total_frames"):
            assert text in done.stdout


@pytest.mark.vmas
def test_vmas(tmp_path):
    pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')
    done = run("vmas_rqmix.py", "--frames", "12000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "robust QMIX, greedy" in done.stdout
