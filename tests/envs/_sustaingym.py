"""Buildings for the tests of SustainGym; whoever imports this is skipped where it is missing."""

import contextlib
import functools
import io

import pytest
import torch
from tensordict import TensorDict

sustaingym = pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)

from sustaingym.envs.building import ParameterGenerator  # noqa: E402

TUCSON = ("Hot_Dry", "Tucson")


@functools.cache
def parameters(building="OfficeSmall", climate=TUCSON, continuous=False, without_unit=()):
    with contextlib.redirect_stdout(io.StringIO()):
        p = ParameterGenerator(building, *climate, is_continuous_action=continuous)
    p["ac_map"][list(without_unit)] = 0
    return p


def at(day=None, climate=None):
    """A reset tensordict that sets the days, the climates or both."""
    entries = {"day": day, "climate": climate}
    entries = {k: torch.as_tensor(v) for k, v in entries.items() if v is not None}
    return TensorDict(entries, [len(next(iter(entries.values())))])


def follow(env, levels, td):
    """Plays ``levels`` ``[T, B, n]``; observations, states, rewards and truncations over time."""
    seen = {"obs": [], "state": [], "reward": [], "truncated": []}
    for step_levels in levels:
        td["agents", "action"] = step_levels
        td = env.step(td)["next"]
        for key in ("state", "reward", "truncated"):
            seen[key].append(td[key])
        seen["obs"].append(td["agents", "observation"])
    return {key: torch.stack(values) for key, values in seen.items()}


def assert_same_course(ours, expected):
    """To the rounding of float32: the reward adds up several agents' temperature errors."""
    for key, value in ours.items():
        torch.testing.assert_close(
            value, expected[key], atol=1e-3 if key == "reward" else 1e-4, rtol=1e-6
        )
