"""examples/severity.py: what it solves, learns, keeps and compares, with small numbers."""

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "examples" / "severity.py"


@pytest.fixture
def severity(tmp_path, monkeypatch):
    """The script as a module with one size and one control, in a folder of its own."""
    spec = importlib.util.spec_from_file_location("severity", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "RHOS", (0.5,))
    monkeypatch.setattr(module, "FACTORS", (1.0, 0.5))
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["severity.py", *arguments])
    module.main()


def test_it_solves_and_draws_without_learning(severity, monkeypatch, capsys):
    call(severity, monkeypatch, "--models", "harvest", "paid")
    printed = capsys.readouterr().out
    for line in (
        "nominal                            13.84     8.31     4.87     2.79     0.84",
        "CVaR, ρ = 0.5                      11.30    11.30    11.30    11.30    11.30",
        "CVaR, ρ = 0.5                      15.77    13.40    10.92     8.34     2.92",
    ):
        assert line in printed
    assert {path.name for path in Path("runs/severity").iterdir()} == {"exact.csv", "severity.png"}


def test_what_was_learned_is_not_learned_again(severity, monkeypatch, capsys):
    learned = []

    def learn_one(name, mixer, uncertainty, factor, seed, steps):
        learned.append((uncertainty.name, factor, seed))
        return [float(seed + i) for i in range(5)]

    monkeypatch.setitem(severity.LEARNERS, "tables", learn_one)
    arguments = ("--models", "machines", "--learned", "--mixers", "vdn", "--steps", "2")
    arguments += ("--tuning", "9", "--testing", "0", "1")
    call(severity, monkeypatch, *arguments)
    # both sets with the tuning seed; two test seeds of two discounts and both sets
    assert len(learned) == len(set(learned)) == 2 + 2 * 4
    assert pd.read_csv("runs/severity/learned.csv")["s3"].tolist() == [
        seed + 2.0 for *_, seed in learned
    ]
    first = capsys.readouterr().out
    assert "best control" in first and "CVaR ρ=0.5" in first
    monkeypatch.setitem(severity.LEARNERS, "tables", None)
    call(severity, monkeypatch, *arguments)
    assert capsys.readouterr().out == first


def test_a_run_is_configured_as_its_model(severity, monkeypatch):
    """With the worst value of the model, in units of scaled return."""
    built = []
    build = severity.build
    monkeypatch.setattr(
        severity, "build", lambda cfg, folder: built.append(cfg) or build(cfg, folder)
    )
    found = severity.learn_in_env("machines", "vdn", severity.TotalVariation(0.1), 1.0, 0, 2)
    assert len(found) == 5 and all(isinstance(value, float) for value in found)
    (cfg,) = built
    assert (cfg.optim.gamma, cfg.uncertainty.rho) == (0.9, 0.1)
    assert cfg.uncertainty.worst_value == pytest.approx(0.1 * -36.6, abs=0.01)


def test_the_size_is_chosen_at_the_validation_severity(severity):
    rows = pd.DataFrame({"rho": [0.1, 0.1, 0.3, 0.5], "s3": [1.0, 5.0, 4.0, 4.0], "s6": 9.0})
    assert severity.chosen_rho(rows) == 0.3


def test_a_set_is_judged_with_the_size_that_its_tuning_seeds_chose(severity):
    """Of other sizes and longer runs nothing is shown, though they may be better."""
    kind = {"model": "harvest", "learner": "tables", "steps": 9, "lr": 0.1}
    row = {**kind, "mixer": "vdn", "factor": 1.0}
    tried = [(0.1, 100, 5.0), (0.3, 100, 8.0), (0.1, 0, 9.0), (0.3, 0, 7.0)]
    rows = [{**row, "method": "TV", "rho": rho, "seed": n, "s3": value} for rho, n, value in tried]
    rows.append({**row, "method": "nominal", "rho": 0.0, "seed": 0, "s3": 1.0})
    rows.append({**rows[-1], "steps": 99, "s3": 9.0})
    shown = severity.judged(pd.DataFrame(rows), [kind], [100], [0])
    assert shown[["method", "s3"]].values.tolist() == [["nominal", 1.0], ["TV", 7.0]]


def test_of_equal_controls_the_one_with_the_longest_horizon_is_named(severity):
    row = {"model": "harvest", "mixer": "vdn", "method": "nominal", "rho": 0.0}
    returns = dict.fromkeys(("s1", "s3", "s4", "s6"), 2.0)
    rows = [
        {**row, **returns, "factor": factor, "seed": n} for factor in (0.5, 1.0) for n in (0, 1)
    ]
    rows += [
        {**row, **returns, "method": m, "factor": 1.0, "seed": n}
        for m in ("TV", "CVaR")
        for n in (0, 1)
    ]
    (first, *_) = severity.compared(pd.DataFrame(rows), "harvest", "vdn")
    assert "best control 1γ 2.00 ± 0.00" in first and first.count("not above") == 2


def test_an_interval_is_students(severity):
    mean, half = severity.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (mean, half) == (3.0, pytest.approx(2.7764 * 2.5**0.5 / 5**0.5, rel=1e-4))


def test_a_csv_of_something_else_is_refused(severity, monkeypatch, capsys):
    Path("runs/severity").mkdir(parents=True)
    pd.DataFrame({"model": ["harvest"], "s3": [1.0]}).to_csv(
        "runs/severity/learned.csv", index=False
    )
    with pytest.raises(SystemExit):
        call(severity, monkeypatch, "--models", "harvest")
    assert "lacks the columns ['learner', 'steps', 'lr'," in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "0"), "--steps must be at least 1, got 0"),
        (("--testing", "1", "100"), r"must share no seed, got \[100\] in both"),
    ],
)
def test_bad_arguments_are_refused(severity, monkeypatch, capsys, arguments, message):
    with pytest.raises(SystemExit):
        call(severity, monkeypatch, *arguments)
    assert pd.Series([capsys.readouterr().err]).str.contains(message).all()
