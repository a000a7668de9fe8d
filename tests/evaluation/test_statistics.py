import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from torchrl_drigm.evaluation import (
    atomic_path,
    format_table,
    mean_interval,
    save_results,
    summarize,
)
from torchrl_drigm.evaluation.plots import shift_labels
from torchrl_drigm.evaluation.shift_tables import by_shift


def results(**policies):
    """Normalised returns by policy and shift."""
    locations = {"env_1": "Tucson", "env_6": "NewYork"}
    return pd.DataFrame(
        [
            {
                "policy": policy,
                "shift": shift,
                "location": locations[shift],
                "normalized_return": value,
            }
            for policy, shifts in policies.items()
            for shift, values in shifts.items()
            for value in values
        ]
    )


TABLE = results(
    vdn={"env_1": [0.5, 0.7], "env_6": [-1.0, 0.0, 1.0, 0.0]},
    qmix={"env_1": [0.9], "env_6": [0.25, 0.75]},
)


class TestSummarize:
    def test_by_hand(self):
        summary = summarize(TABLE)
        assert summary["policy"].tolist() == ["vdn", "vdn", "qmix", "qmix"]
        assert summary["shift"].tolist() == ["env_1", "env_6"] * 2
        assert summary["mean"].tolist() == pytest.approx([0.6, 0.0, 0.9, 0.5])
        # std/√n: 0.2/√2/√2; √(2/3)/2; none for one episode; 0.5/√2/√2
        expected = [0.1, math.sqrt(2 / 3) / 2, math.nan, 0.25]
        assert summary["standard_error"].tolist() == pytest.approx(expected, nan_ok=True)
        assert summary["worst"].tolist() == [0.5, -1.0, 0.9, 0.25]
        assert summary["n"].tolist() == [2, 4, 1, 2]

    def test_without_policies(self):
        summary = summarize(TABLE.drop(columns="policy"))
        assert list(summary.columns) == [
            *("shift", "location", "measure", "mean", "standard_error", "worst", "n")
        ]
        assert summary["n"].tolist() == [3, 6]

    def test_order_is_that_of_the_rows(self):
        summary = summarize(TABLE.iloc[::-1])
        assert summary["policy"].tolist() == ["qmix", "qmix", "vdn", "vdn"]
        assert summary["shift"].tolist() == ["env_6", "env_1"] * 2

    def test_empty(self):
        with pytest.raises(ValueError, match="results has no rows"):
            summarize(TABLE.iloc[:0])

    def test_missing_column(self):
        with pytest.raises(ValueError, match=r"results lacks the columns \['shift'\]"):
            summarize(TABLE.drop(columns="shift"))

    def test_only_buildings_have_a_location(self):
        summary = summarize(TABLE.drop(columns="location"))
        assert "location" not in summary
        assert format_table(summary).splitlines()[0] == "policy          env_1          env_6"


class TestFormatTable:
    def test_aligned(self):
        assert format_table(summarize(TABLE)).split("\n") == [
            "policy   env_1 Tucson  env_6 NewYork",
            "vdn     0.600 ± 0.100  0.000 ± 0.408",
            "qmix    0.900 (n = 1)  0.500 ± 0.250",
        ]

    def test_what_does_not_fit_into_a_line_goes_on_below(self):
        names = [f"thermal resistance x {i}" for i in range(15)]
        rows = [
            {"policy": policy, "shift": name, "mean": float(i), "standard_error": 0.5}
            for i, name in enumerate(names)
            for policy in ("QMIX", "random")
        ]
        tables = format_table(pd.DataFrame(rows)).split("\n\n")
        heads = [table.split("\n")[0] for table in tables]
        assert len(tables) == 3 and all(head.startswith("policy  ") for head in heads)
        shown = [name for head in heads for name in re.split(r"  +", head)[1:]]
        assert shown == names, "every shift once, in its order"
        for table in tables:
            policies, *lines = zip(
                *(re.split(r"  +", line) for line in table.split("\n")), strict=True
            )
            assert policies == ("policy", "QMIX", "random")
            assert max(map(len, table.split("\n"))) <= 140
            for name, *cells in lines:
                assert cells == [f"{names.index(name)}.000 ± 0.500"] * 2

    def test_policy_without_a_shift(self):
        table = format_table(summarize(TABLE.query("policy == 'vdn' or shift == 'env_1'")))
        assert table.split("\n")[2].endswith("  -")

    def test_without_policies(self):
        lines = format_table(summarize(TABLE.drop(columns="policy"))).split("\n")
        assert len(lines) == 2
        assert lines[1].startswith("evaluated policy  0.700 ± ")

    def test_empty(self):
        with pytest.raises(ValueError, match="summary has no rows"):
            format_table(summarize(TABLE).iloc[:0])

    def test_missing_column(self):
        with pytest.raises(ValueError, match=r"summary lacks the columns \['mean'"):
            format_table(TABLE)


class TestFiles:
    def test_round_trip(self, tmp_path):
        path = save_results(TABLE, tmp_path / "new" / "results.csv")
        pd.testing.assert_frame_equal(pd.read_csv(path), TABLE)
        assert [file.name for file in path.parent.iterdir()] == ["results.csv"]

    def test_failure_keeps_the_old_file(self, tmp_path):
        path = tmp_path / "results.csv"
        path.write_text("old")
        with pytest.raises(RuntimeError, match="stopped"), atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("n", [2, 5, 11, 30])
def test_the_interval_of_a_few_seeds_is_students(n):
    values = np.random.default_rng(n).normal(size=n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    mean, half = mean_interval(values)
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-3)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    mean, half = mean_interval([2.0])
    assert mean == 2.0 and np.isnan(half)
    with pytest.raises(ValueError, match="one number per seed, got none"):
        mean_interval([])


@pytest.mark.parametrize(
    "values", [[1.0, float("nan")], [float("inf"), 1.0], [[1.0, 2.0]], 3.0], ids=str
)
def test_an_interval_is_of_finite_numbers(values):
    with pytest.raises(ValueError, match="one finite number per seed"):
        mean_interval(values)


@pytest.mark.parametrize(
    ("shift", "location", "title", "tick"),
    [
        ("env_1", "Tucson", "env_1 Tucson", "env_1\nTucson"),
        ("home", "Home", "home", "home"),
        ("Tampa May", "Tampa", "Tampa May", "Tampa May"),
        ("Homestead", "Home", "Homestead Home", "Homestead\nHome"),  # another word
        ("env_1", None, "env_1", "env_1"),
        ("env_1", float("nan"), "env_1", "env_1"),
    ],
)
def test_a_column_names_its_place_once(shift, location, title, tick):
    rows = {"policy": "QMIX", "shift": shift, "location": location, "n": 2}
    scores = pd.DataFrame([rows | {"mean": 1.0, "standard_error": 0.1}])
    assert format_table(scores).splitlines()[0].split("  ")[-1].strip() == title
    assert by_shift(scores, "return").splitlines()[0] == f"| | runs | {title} |"
    assert shift_labels(scores) == [tick]
