"""Tables of a reproduction, from results that are there."""

import pandas as pd

from torchrl_drigm.evaluation.reproduction import _areas


def compared(**levels):
    """Two seeds on axes with these levels; a score is 100 - 10 level - 4 seed."""
    return pd.DataFrame(
        [
            {"policy": "TV QMIX", "seed": seed, "shift": f"{axis} {level}", "axis": axis}
            | {"level": level, "return": 100.0 - 10 * level - 4 * seed}
            for seed in (0, 1)
            for axis, own in levels.items()
            for level in own
        ]
    )


def test_areas_are_those_of_each_axis_with_the_error_over_the_seeds():
    table = _areas(compared(noise=(0.0, 1.0, 4.0), power=(0.0, 2.0), alone=(3.0,))).splitlines()
    # a line's mean over [0, 4] is its value at 2; the two seeds are 4 apart, which is ± 2
    assert table[0] == "| | runs | noise | power |"
    assert table[2] == "| TV QMIX | 2 | 78.0 ± 2.0 | 88.0 ± 2.0 |"


def test_without_an_axis_there_is_no_area():
    assert _areas(compared(noise=(1.0,))) == ""
    assert _areas(compared(noise=(1.0, 2.0)).drop(columns=["axis", "level"])) == ""
    assert _areas(compared(noise=(1.0, 2.0)).assign(axis=None)) == ""
