"""examples/worlds.py: what it tunes and tests, keeps and compares, without training."""

import importlib.util
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace

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


@pytest.fixture
def trained(worlds, monkeypatch):
    """Keys of the runs that are trained; nothing is."""

    class Pool:
        def __init__(self, *args, **kwargs):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def imap_unordered(self, run, keys):
            asked.extend(keys)
            columns = {"validation": ["s3"], "severity": ["s1", "s6"]}
            for key in keys:
                returns = dict.fromkeys(columns[key["suite"]], key["value"] + 0.01 * key["seed"])
                yield {**key, **returns, "cpu_seconds": 1.0}

    asked = []
    context = type("Context", (), {"Pool": Pool})
    monkeypatch.setattr(worlds.multiprocessing, "get_context", lambda kind: context)
    return asked


def call(worlds, monkeypatch, tmp_path, *arguments):
    words = ["worlds.py", "--world", "failures", "--mixers", "vdn", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, *arguments])
    worlds.main()


def test_what_is_in_the_csv_is_not_trained_again(worlds, trained, tmp_path, monkeypatch):
    seeds = ("--tuning", "9", "--testing", "0", "1", "1")
    call(worlds, monkeypatch, tmp_path, *seeds)
    # of tuning every value; of testing nominal, γ(1-ρ) twice, contamination, both sets, at 3
    assert [key["seed"] for key in trained] == [9] * 13 + [0, 1] * 7
    first = pd.read_csv(tmp_path / "failures.csv")
    trained.clear()
    call(worlds, monkeypatch, tmp_path, *seeds)
    call(worlds, monkeypatch, tmp_path, *seeds, "--report")
    assert not trained and pd.read_csv(tmp_path / "failures.csv").equals(first)
    call(worlds, monkeypatch, tmp_path, *seeds, "--frames", "160000")
    assert len(trained) == len(first)


def test_other_seeds_in_the_csv_do_not_count(worlds, trained, tmp_path, monkeypatch, capsys):
    seeds = ("--tuning", "9", "--testing", "0", "1")
    call(worlds, monkeypatch, tmp_path, *seeds)
    printed = capsys.readouterr().out
    rows = pd.read_csv(tmp_path / "failures.csv")
    others = rows.assign(seed=rows["seed"] + 50, s3=-rows["s3"], s1=9.0, s6=9.0)
    pd.concat([rows, others, rows.iloc[:3]]).to_csv(tmp_path / "failures.csv", index=False)
    call(worlds, monkeypatch, tmp_path, *seeds, "--report")
    assert capsys.readouterr().out == printed[printed.index("\nfailures, VDN") :]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report"], "failures.csv lacks 26 of 26 runs, the first failures 80000 100 vdn"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--frames", "0"], "--frames must be at least 1, got 0"),
        (["--episodes", "0"], "--episodes must be at least 1, got 0"),
        (["--testing", "100"], r"must share no seed, got [100] in both"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_arguments_are_refused(worlds, monkeypatch, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit):
        call(worlds, monkeypatch, tmp_path, *arguments)
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_csv_of_something_else_is_refused(worlds, monkeypatch, tmp_path, capsys):
    pd.DataFrame({"seed": [0]}).to_csv(tmp_path / "failures.csv", index=False)
    with pytest.raises(SystemExit):
        call(worlds, monkeypatch, tmp_path)
    assert "lacks the columns ['world'," in capsys.readouterr().err


@pytest.mark.parametrize("world", ["failures", "weather", "noise"])
@pytest.mark.parametrize("method", ["nominal", "trained at 3", "CVaR"])
def test_all_methods_are_judged_in_the_same_worlds(worlds, monkeypatch, world, method):
    """Also what was trained in another one: a shift's severity is a factor on the task's own."""
    built, judged = [], []

    def build(cfg, folder):
        built.append(worlds.make_task(cfg))
        return SimpleNamespace(train=lambda: None, team=None)

    def evaluate(team, task, shifts, **options):
        judged.extend([task.contents(shift) for shift in shifts])
        return pd.DataFrame({"shift": [shift["name"] for shift in shifts], "return": 1.0})

    monkeypatch.setattr(worlds, "build", build)
    monkeypatch.setattr(worlds, "evaluate", evaluate)
    key = (world, 64, 1, "vdn", method, worlds.WORLDS[world].methods[method][2][0], 0, "severity")
    found = worlds.run(dict(zip(worlds.KEY, key, strict=True)))
    assert [name for name in found if name[0] == "s" and name[1:].isdigit()] == [
        "s1",
        "s2",
        "s4",
        "s6",
    ]
    nominal = worlds.make_task(
        worlds.compose_config(*worlds.WORLDS[world].overrides, config=worlds.WORLDS[world].config)
    )
    assert judged == [nominal.contents({"severity": severity}) for severity in (1.0, 2.0, 4.0, 6.0)]
    # what it was trained in
    severity = 3.0 if method == "trained at 3" else 1.0
    assert built[0].contents({}) == nominal.contents({"severity": severity})


@pytest.mark.parametrize("world", ["noise", "failures", "weather"])
@pytest.mark.parametrize("method", ["nominal", "trained at 3", "contamination", "TV", "CVaR"])
def test_every_run_has_a_config(worlds, world, method):
    """Usual discount first; and sets with what their world asks for."""
    world = worlds.WORLDS[world]
    own, field, values = world.methods[method]
    overrides = (*world.overrides, *own, f"{field}={values[-1]}", "mixer=vdn")
    cfg = worlds.compose_config(*overrides, config=world.config)
    assert cfg.optim.gamma == (values[-1] if method == "nominal" else world.gammas[0])
    if field == "uncertainty.rho":
        assert cfg.uncertainty.rho == values[-1]
        assert cfg.uncertainty.joint_with_reward
