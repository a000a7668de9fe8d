"""What the pages say of the results in docs/results, by the rows themselves."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
TUNING, TESTING = (100, 101), (0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def severity():
    spec = importlib.util.spec_from_file_location("severity", ROOT / "examples" / "severity.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
@pytest.mark.parametrize(
    ("model", "sets"), [("harvest", ["TV", "CVaR"]), ("machines", ["CVaR"])], ids=lambda v: str(v)
)
def test_learned_sets_are_above_every_control_with_intervals_apart(severity, model, sets, mixer):
    rows = pd.read_csv(ROOT / "docs" / "results" / "severity_learned.csv")
    kind = severity.kind_of(model, "tables", None)
    rows = severity.where(severity.judged(rows, [kind], TUNING, TESTING), mixer=mixer)
    assert rows.groupby(["method", "factor"]).size().eq(5).all()
    for column in ("s3", "s4"):
        controls = severity.where(rows, method="nominal").groupby("factor")[column]
        best = max(sum(severity.mean_interval(values)) for _, values in controls)
        for label in sets:
            mean, half = severity.mean_interval(severity.where(rows, method=label)[column])
            assert mean - half > best


def test_total_variation_is_never_above_nominal_training_on_machines(severity):
    rows = pd.read_csv(ROOT / "docs" / "results" / "severity_learned.csv")
    for learner in severity.LEARNERS:
        kind = severity.kind_of("machines", learner, None)
        for _, own in severity.judged(rows, [kind], TUNING, TESTING).groupby("mixer"):
            nominal = severity.where(own, method="nominal", factor=1.0)
            for column in ("s3", "s4", "s6"):
                difference = (
                    severity.where(own, method="TV")[column].mean() - nominal[column].mean()
                )
                assert difference < 1e-6
