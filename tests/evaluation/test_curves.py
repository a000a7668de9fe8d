"""The area under a severity curve."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from torchrl_drigm.evaluation import severity_areas

SHIFTS = pd.DataFrame(
    {
        "shift": ["nominal", "hot", "hottest", "windy", "calm"],
        "axis": [None, "heat", "heat", "wind", "wind"],
        "level": [np.nan, 1.0, 3.0, 8.0, 0.0],
    }
)


def results(score, policies=("qmix",), seeds=(0, 1), shifts=SHIFTS, episodes=2):
    """Rows of episodes whose return is ``score(policy, seed, level)``, ±1 by episode."""
    rows = [
        {**row._asdict(), "policy": policy, "seed": seed, "episode": episode}
        | {"return": score(policy, seed, row.level if row.level == row.level else 99.0) + sign}
        for policy, seed in product(policies, seeds)
        for row in shifts.itertuples(index=False)
        for episode, sign in zip(range(episodes), (-1.0, 1.0), strict=False)
    ]
    return pd.DataFrame(rows)


def test_of_a_straight_line_is_its_height_in_the_middle():
    areas = severity_areas(results(lambda policy, seed, level: 10.0 * seed - level))
    assert areas["policy"].eq("qmix").all()
    assert list(zip(areas["axis"], areas["seed"], strict=True)) == [
        *(("heat", 0), ("wind", 0), ("heat", 1), ("wind", 1))
    ]
    assert areas["area"].tolist() == pytest.approx([-2.0, -4.0, 8.0, 6.0])


def test_levels_need_not_be_equally_far_apart_nor_in_order():
    shifts = pd.DataFrame({"shift": list("abcd"), "axis": "x", "level": [4.0, 0.0, 10.0, 1.0]})
    heights = {0.0: 2.0, 1.0: 4.0, 4.0: 0.0, 10.0: 6.0}
    areas = severity_areas(results(lambda policy, seed, level: heights[level], shifts=shifts))
    # trapezoids by hand: 3 · 1, 2 · 3, 3 · 6
    assert areas["area"].tolist() == pytest.approx([(3 + 6 + 18) / 10] * 2)


def test_shifts_of_one_level_are_one_point():
    shifts = pd.DataFrame({"shift": list("abc"), "axis": "x", "level": [0.0, 1.0, 1.0]})
    rows = results(lambda policy, seed, level: level, shifts=shifts, seeds=(0,))
    rows.loc[rows["shift"] == "c", "return"] += 2.0  # 0 at level 0, 1 and 3 at level 1
    assert severity_areas(rows)["area"].tolist() == pytest.approx([1.0])


def test_of_several_methods():
    worth = {"vdn": 5.0, "qmix": 7.0}
    areas = severity_areas(results(lambda policy, seed, level: worth[policy], policies=worth))
    by_policy = areas.groupby("policy", sort=False)["area"].agg(list).to_dict()
    assert by_policy == {"vdn": [5.0] * 4, "qmix": [7.0] * 4}


class TestRefused:
    def rows(self, **columns):
        return results(lambda policy, seed, level: 0.0).assign(**columns)

    @pytest.mark.parametrize("column", ["axis", "level"])
    def test_missing_columns(self, column):
        with pytest.raises(ValueError, match=rf"results lacks the columns \['{column}'\]"):
            severity_areas(self.rows().drop(columns=column))

    def test_without_an_axis(self):
        with pytest.raises(ValueError, match="no row with an axis"):
            severity_areas(self.rows(axis=None))

    @pytest.mark.parametrize("level", [np.nan, np.inf, "far"])
    def test_levels_that_are_no_numbers(self, level):
        rows = self.rows()
        rows["level"] = rows["level"].astype(object)
        rows.loc[rows["shift"] == "windy", "level"] = level
        message = f"level={level!r} of the shift 'windy' on the axis 'wind' must be a finite number"
        with pytest.raises(ValueError, match=message):
            severity_areas(rows)

    def test_a_single_level(self):
        rows = self.rows()
        with pytest.raises(ValueError, match="the axis 'heat' has the level 1 alone"):
            severity_areas(rows[rows["shift"] != "hottest"])

    def test_what_cannot_be_compared(self):
        with pytest.raises(ValueError, match="lacks the shift"):
            severity_areas(self.rows().iloc[:-2])
