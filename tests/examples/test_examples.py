"""The example scripts, run as a newcomer would, with small numbers."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from torchrl_drigm.evaluation import read_metrics

EXAMPLES = Path(__file__).parents[2] / "examples"
ENV = {"PYTHONWARNINGS": "default", "HYDRA_FULL_ERROR": "0", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(python, tmp_path):
    """Runs an example in an empty folder."""
    return lambda script, *args: python(EXAMPLES / script, *args, cwd=tmp_path, **ENV)


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(script, *args, cwd):
    """Runs an example in a Python that has to import all, and could say something then."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / script), *args],
        cwd=cwd,
        env={**os.environ, **ENV},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_an_experiment_with_a_run_that_diverged_does_not_end_the_others(
    tmp_path, monkeypatch, capsys
):
    paper = load("reproduce_paper")

    def made(words):
        part = words[2]
        if part == "climate_season":  # refused, as the command does it
            raise SystemExit(1) from ValueError("no")
        (tmp_path / "results").mkdir(exist_ok=True)
        for suite in paper._suites(part):
            (tmp_path / "results" / f"{suite}.md").write_text(f"table of {suite}")
        if part == "climate":
            raise SystemExit(1)  # diverged

    monkeypatch.setattr(paper, "torchrl_drigm", made)
    for experiments, ended in (
        (["1", "2"], ["season_strict"]),
        (["4", "3", "2"], ["hard_enemies"]),
    ):
        argv = ["reproduce_paper.py", "--out", str(tmp_path), "--experiment", *experiments]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as error:
            paper.main()
        assert error.value.code == 1
        told = capsys.readouterr().out.splitlines()
        assert [line.split()[-1] for line in told if line.startswith("table of")][-1:] == ended


@pytest.mark.skipif(
    importlib.util.find_spec("jaxmarl") is None,
    reason='needs jaxmarl: pip install "torchrl_drigm[smax]"',
)
def test_battles_are_where_the_command_has_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = ["reproduce_paper.py", "--experiment", "4", "--seeds", "1", "--dry-run"]
    monkeypatch.setattr(sys, "argv", argv)
    load("reproduce_paper").main()
    assert f"In {Path('runs', 'reproduce', 'battles')}." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


class TestSustainGym:
    pytestmark = pytest.mark.sustaingym

    @pytest.fixture(autouse=True)
    def _needs_sustaingym(self):
        pytest.importorskip(
            "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
        )

    def test_only_a_controller_capped_at_the_rated_power_is_without_risk(self, monkeypatch, capsys):
        failing = load("failing_building")
        monkeypatch.setattr(sys, "argv", ["failing_building.py", "--episodes", "2"])
        failing.main()
        printed = capsys.readouterr().out

        def read(lines):
            return {float(cap): list(map(float, row)) for cap, *row in map(str.split, lines)}

        returns, failures = printed.split("failures a day\n")
        returns, failures = read(returns.splitlines()[2:]), read(failures.splitlines()[1:])
        assert list(returns) == list(failures) == [0.2, 0.4, 0.6, 1.0]
        assert len(set(returns.pop(0.2))) == 1
        assert set(failures.pop(0.2)) == {0.0}
        assert all(row[0] > row[-1] for row in returns.values())
        assert all(row[0] < row[-1] for row in failures.values())

    def test_run_leaves_everything_in_its_folder(self, run, tmp_path):
        overrides = [
            "collector.total_frames=2560",
            "optim.updates_per_batch=1",
            "replay.batch_size=8",
            "agent.hidden_size=8",
            "evaluation.episodes=2",
            "env.time_res=3600",  # a day is soon over
            "hydra.run.dir=run",
        ]
        done = start("sustaingym_rqmix.py", *overrides, cwd=tmp_path)
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
        assert "\r" not in done.stderr and len(done.stderr) < 10_000
        assert "2,560 of 2,560 steps" in done.stderr
        frames = read_metrics(tmp_path / "run")["frames"].max()
        config = (tmp_path / "run" / "config.yaml").read_text()
        other = [*overrides[1:-1], "resume=run/checkpoint", "hydra.run.dir=other", "seed=7"]
        refused = run("sustaingym_rqmix.py", *other, "collector.total_frames=9999")
        assert refused.returncode != 0 and "seed: 0 there, 7 here" in refused.stderr
        assert (tmp_path / "run" / "config.yaml").read_text() == config
        resumed = run(
            "sustaingym_rqmix.py",
            *overrides[1:-1],
            "collector.total_frames=3840",
            "resume=run/checkpoint",
            "hydra.run.dir=other",
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
    def test_bad_input(self, run, override, message):
        done = run("sustaingym_rqmix.py", override, "hydra.run.dir=run")
        assert done.returncode != 0
        assert message in done.stderr

    def test_help(self, run):
        done = run("sustaingym_rqmix.py", "--help")
        assert done.returncode == 0
        for text in (
            "uncertainty: chi2, contamination, cvar, group_dr, kl, none, own, tv",
            "total_frames",
        ):
            assert text in done.stdout


@pytest.mark.vmas
class TestWholeReturns:
    """On balance episodes end early, and copies are in the middle of another at the last step."""

    @pytest.fixture
    def vmas(self):
        pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')
        return load("vmas_rqmix")

    def make(self, max_steps, scenario):
        from torchrl.envs import Compose, RewardSum, StepCounter, TransformedEnv, VmasEnv

        env = VmasEnv(scenario, num_envs=30, continuous_actions=False, seed=0)
        transforms = Compose(StepCounter(max_steps), RewardSum(in_keys=[env.reward_key]))
        return TransformedEnv(env, transforms)

    @pytest.mark.parametrize("scenario", ["balance", "navigation"])
    def test_every_copy_plays_one_episode_to_its_end(self, vmas, scenario):
        env, max_steps = self.make(60, scenario), 60
        torch.manual_seed(0)
        env.set_seed(0)
        returns = vmas.whole_returns(env, None, max_steps)
        torch.manual_seed(0)
        env.set_seed(0)
        # by hand, from the rewards of each step
        tensordict, expected = env.reset(), torch.zeros(30)
        going = torch.ones(30, dtype=torch.bool)
        while going.any():
            stepped, tensordict = env.step_and_maybe_reset(env.rand_action(tensordict))
            expected += going * stepped["next", "agents", "reward"].sum((-2, -1))
            going &= ~stepped["next", "done"].squeeze(-1)
        torch.testing.assert_close(returns, expected)


@pytest.mark.vmas
def test_vmas(run):
    pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')
    done = run("vmas_rqmix.py", "--frames", "12000")
    assert done.returncode == 0, done.stderr
    assert "robust QMIX, greedy" in done.stdout
    assert "12,000 steps, return" in done.stdout and "\r" not in done.stderr
