"""Buildings for the tests of SustainGym; whoever imports this is skipped where it is missing."""

import contextlib
import functools
import io

import pytest
import torch

from tests.envs._courses import at, follow

__all__ = ["TUCSON", "assert_same_course", "at", "follow", "parameters", "sustaingym"]

sustaingym = pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)

pytest.importorskip("pvlib", reason='needs pvlib: pip install "torchrl_drigm[sustaingym]"')

from sustaingym.envs.building import ParameterGenerator  # noqa: E402

TUCSON = ("Hot_Dry", "Tucson")


@functools.cache
def parameters(building="OfficeSmall", climate=TUCSON, continuous=False, without_unit=()):
    with contextlib.redirect_stdout(io.StringIO()):
        p = ParameterGenerator(building, *climate, is_continuous_action=continuous)
    p["ac_map"][list(without_unit)] = 0
    return p


def assert_same_course(ours, expected):
    """To the rounding of float32: the reward adds up several agents' temperature errors."""
    for key, value in ours.items():
        torch.testing.assert_close(
            value, expected[key], atol=1e-3 if key == "reward" else 1e-4, rtol=1e-6
        )
