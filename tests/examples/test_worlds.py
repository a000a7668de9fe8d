"""examples/worlds.py: what it tunes and tests, keeps and compares, without training."""

import importlib.util
import itertools
from pathlib import Path

import pandas as pd
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "worlds.py"


@pytest.fixture
def worlds():
    spec = importlib.util.spec_from_file_location("worlds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(worlds, method, value, seed, suite, **returns):
    key = ("failures", 80_000, 100, "vdn", method, value, seed, suite)
    return {**dict(zip(worlds.KEY, key, strict=True)), **returns}


@pytest.fixture
def rows(worlds):
    """Discount 0.873, TV 0.1 and CVaR 0.5 are best in validation; CVaR is better in tests."""
    best = {"nominal": 0.873, "TV": 0.1, "CVaR": 0.5}
    tuning = [
        row(worlds, method, value, seed, "validation", s3=0.5 + (value == best[method]))
        for method in worlds.TUNED
        for value, seed in itertools.product(
            worlds.WORLDS["failures"].methods[method][2], (100, 101)
        )
    ]
    returns = {("nominal", 0.97): 0.6, ("nominal", 0.873): 0.5, ("TV", 0.1): 0.4, ("CVaR", 0.5): 1}
    returns |= {("nominal", 0.485): 0.3, ("contamination", 0.1): 0.2, (worlds.AT_3, 0.97): 9.0}
    testing = [
        row(worlds, *line, seed, "severity", s1=0.7 + 0.01 * seed, s6=mean + 0.02 * seed)
        for line, mean in returns.items()
        for seed in range(3)
    ]
    return pd.DataFrame(tuning + testing)


def test_each_method_is_tuned_alike_and_nominal_training_is_tested_untuned_too(worlds, rows):
    assert worlds.lines(rows, "vdn", "failures") == {
        "nominal": ("nominal", 0.97),
        "tuned": ("nominal", 0.873),  # which is γ(1-ρ) of TV, too
        "γ(1-ρ) of CVaR": ("nominal", 0.485),
        "contamination": ("contamination", 0.1),  # with the size of TV
        "TV": ("TV", 0.1),
        "CVaR": ("CVaR", 0.5),
        "trained at 3": ("trained at 3", 0.97),  # which is no control
    }


def test_a_discount_that_is_the_usual_one_is_tested_once(worlds, rows):
    rows.loc[(rows["value"] == 0.97) & (rows["suite"] == "validation"), "s3"] = 9.0
    assert "tuned" not in worlds.lines(rows, "vdn", "failures")


def test_sets_are_compared_with_the_better_control_seed_by_seed(worlds, rows, tmp_path, capsys):
    worlds.report(rows, ["vdn"], tmp_path, "failures")
    printed = capsys.readouterr().out
    assert "CVaR minus nominal  s6: +0.400 ± 0.000  above" in printed
    assert "TV minus nominal  s6: -0.200 ± 0.000  below" in printed
    assert "CVaR minus nominal  s1: +0.000 ± 0.000  not told apart" in printed
    assert (tmp_path / "failures.png").exists()


def test_what_is_in_the_csv_is_not_trained_again(worlds, rows, tmp_path, monkeypatch):
    class Pool:
        def __init__(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def imap_unordered(self, run, jobs):
            asked.extend((key["frames"], key["seed"]) for key in jobs)
            return [{**key, "s1": 0.1, "cpu_seconds": 1.0} for key in jobs]

    asked, path = [], tmp_path / "failures.csv"
    rows.to_csv(path, index=False)
    context = type("Context", (), {"Pool": Pool})
    monkeypatch.setattr(worlds.multiprocessing, "get_context", lambda kind: context)
    kept, new = (
        {name: row(worlds, "CVaR", 0.5, seed, "severity")[name] for name in worlds.KEY}
        for seed in (0, 7)
    )
    longer = {**kept, "frames": 160_000}
    found = worlds.train_missing(path, [kept, new, longer], 2)
    assert asked == [(80_000, 7), (160_000, 0)] and len(found) == len(rows) + 2
    assert len(pd.read_csv(path)) == len(found)
    same = {"world": "failures", "frames": 80_000, "episodes": 100}
    assert len(worlds.of_kind(found, same)) == len(rows) + 1


@pytest.mark.parametrize("world", ["noise", "failures", "weather"])
@pytest.mark.parametrize("method", ["nominal", "trained at 3", "contamination", "TV", "CVaR"])
def test_every_run_has_a_config(worlds, world, method):
    """Usual discount first; and sets with what their world asks for."""
    world = worlds.WORLDS[world]
    own, field, values = world.methods[method]
    overrides = (*world.overrides, *own, f"{field}={values[0]}", "mixer=vdn")
    cfg = worlds.compose_config(*overrides, config=world.config)
    assert cfg.optim.gamma == world.gammas[0]
    if field == "uncertainty.rho":
        assert cfg.uncertainty.rho == values[0]
        assert cfg.uncertainty.joint_with_reward == (world.config == "torchrl")
