"""One warning of rewards that are all the same, or of a worst value no worse than what happens."""

import re
import warnings
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import build, config
from torchrl_drigm import trainers
from torchrl_drigm.trainers.rewards import CheckRewards
from torchrl_drigm.trainers.stack import Stack
from torchrl_drigm.uncertainty import (
    Contamination,
    CVaR,
    ForcedTotalVariation,
    Nominal,
    TotalVariation,
)

NEGATIVE = ["env.reward_loc=0", "collector.total_frames=1040"]  # every reward of a building


def number_in(message):
    return float(re.search(r"uncertainty\.worst_value=(\S+)\.$", message)[1])


@pytest.mark.sustaingym
@pytest.mark.parametrize("uncertainty", ["contamination", "tv"])
def test_the_default_with_negative_rewards(tmp_path, uncertainty):
    chosen = [f"uncertainty={uncertainty}", *NEGATIVE]
    with pytest.warns(UserWarning, match=r"uncertainty\.worst_value=0 is above every") as told:
        build(tmp_path / "wrong", *chosen).train()
    assert len(told) == 1
    shown = warnings.formatwarning(
        told[0].message, told[0].category, told[0].filename, told[0].lineno
    )
    assert shown.startswith("torchrl_drigm:1: UserWarning: uncertainty.worst_value=0")
    assert shown.count("\n") == 1, "one line, without source"
    number = number_in(str(told[0].message))
    assert number < -100
    build(tmp_path / "right", *chosen, f"uncertainty.worst_value={number}").train()  # says nothing


@pytest.mark.sustaingym
def test_a_stack_says_it_once(tmp_path):
    runs, states = [], []
    for seed in (0, 1):
        cfg = config("mixer=vdn", "uncertainty=contamination", *NEGATIVE, f"seed={seed}")
        torch.manual_seed(seed)
        runs.append(trainers.build(cfg, tmp_path / str(seed)))
        states.append(torch.get_rng_state())
    with pytest.warns(UserWarning, match=r"worst_value=0 is above every value") as told:
        Stack(runs, states).train()
    assert len(told) == 1


def looked_at(uncertainty, *rewards, gamma=0.9, frames=4, ended=None, **options):
    """What the check says of batches of rewards, at whose last steps an episode has ``ended``."""
    check = CheckRewards(uncertainty, gamma, frames, **options)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for batch in rewards:
            reward = torch.tensor(batch)[:, None]
            last = torch.arange(len(batch))[:, None] == len(batch) - 1
            flags = {flag: last & (flag == ended) for flag in ("terminated", "truncated")}
            assert check(TensorDict({"next": {"reward": reward, **flags}}, [len(batch)])) is None
    return [str(warning.message) for warning in told]


@pytest.mark.parametrize("cls", [Contamination, TotalVariation])
def test_it_waits_for_as_many_steps_as_it_was_told_and_looks_once(cls):
    ball = cls(rho=0.1, worst_value=0.0)
    assert not looked_at(ball, [-1.0, -2.0, -1.0])
    (message,) = looked_at(ball, [-1.0, -2.0, -1.0], [-1.5], [-9.0])
    assert "the rewards of 4 steps were between -2 and -1" in message
    assert number_in(message) == -20, "-2 / (1 - 0.9)"
    assert not looked_at(ball, [-1.0, -2.0, -1.0], [0.5], [-9.0, -9.0])


def test_the_number_is_never_above_the_lowest_value():
    (message,) = looked_at(Contamination(0.1, 0.0), [-1.0, -12.345, -1.0, -1.0])
    assert number_in(message) == -130


def test_rewards_that_can_be_raised():
    """By as much as the lowest is below 0, or more."""
    (message,) = looked_at(Contamination(0.1, 0.0), [-12.34, -1.0, -1.0, -1.0], loc=3.0)
    assert "Take env.reward_loc=16, with which these rewards would be 0 and more" in message
    assert number_in(message) == -130
    (message,) = looked_at(Contamination(0.1, 50.0), [1.0, 2.0, 1.0, 1.0], loc=3.0)
    assert "reward_loc" not in message
    # of which another sum would be a better value than any
    (message,) = looked_at(Contamination(0.1, 5.0), [-1.0, -2.0, -1.0, -1.0], loc=3.0)
    assert "reward_loc" not in message


def test_costs_that_end_at_the_worst_value():
    """Nothing is above it, and all that is not the best is below."""
    (message,) = looked_at(TotalVariation(0.1, 0.0), [0.0, -1.0, -1.0, 0.0])
    assert "worst_value=0 is the best value that can occur" in message
    assert number_in(message) == -10
    assert not looked_at(TotalVariation(0.1, 0.0), [0.0] * 4, ended="terminated")


def test_values_that_are_positive():
    rewards = [1.0, 2.0, 1.0, 1.0]
    assert not looked_at(Contamination(0.1, 20.0), rewards), "2 / (1 - 0.9)"
    (message,) = looked_at(Contamination(0.1, 20.1), rewards)
    assert number_in(message) == 0


def test_without_a_discount_an_episode_bounds_its_return():
    rewards = [-1.0, -0.5, -1.0, -1.0]
    ball = Contamination(0.1, 0.0)
    assert number_in(*looked_at(ball, rewards, gamma=1.0, max_steps=50)) == -50
    (message,) = looked_at(ball, rewards, gamma=1.0)
    assert message.endswith("Take uncertainty.worst_value=a return below every other.")


@pytest.mark.parametrize(
    ("ended", "number"),
    [
        ("terminated", -3.8),  # -2 (1 + 0.9): what two steps can come to
        ("truncated", -20),  # -2 / (1 - 0.9): what would have followed counts
        (None, -20),  # nobody knows yet how they end
    ],
)
def test_short_episodes_are_worth_no_more_than_their_steps(ended, number):
    ball = Contamination(0.1, 0.0)
    (message,) = looked_at(ball, [-1.0, -2.0], [-1.0, -1.0], ended=ended, max_steps=2)
    assert number_in(message) == number
    high = Contamination(0.1, 3.9)  # above 2 (1 + 0.9)
    told = looked_at(high, [1.0, 2.0], [1.0, 1.0], ended=ended, max_steps=2)
    assert len(told) == (ended == "terminated")


@pytest.mark.parametrize(
    "uncertainty",
    [Nominal(), CVaR(0.2), Contamination(0.0, 0.0), ForcedTotalVariation(0.2, 0.0)],
    ids=repr,
)
def test_sets_that_it_does_not_concern(uncertainty):
    assert not looked_at(uncertainty, [-1.0, -2.0] * 4)


@pytest.mark.parametrize("uncertainty", [Nominal(), CVaR(0.2), Contamination(0.1, -5.0)], ids=repr)
@pytest.mark.parametrize(("reward", "shown"), [(0.0, "0"), (-1.5, "-1.5")])
def test_rewards_that_are_all_the_same(uncertainty, reward, shown):
    (message,) = looked_at(uncertainty, [reward] * 3, [reward] * 3)
    assert message.startswith(f"every reward of the first 6 steps was {shown}, and no episode has ")
    assert looked_at(uncertainty, [reward] * 3, [reward] * 3, ended="truncated") == [message]
    # as many steps as it takes to end are something to learn
    assert not looked_at(uncertainty, [reward] * 3, [reward] * 3, ended="terminated")
    assert not looked_at(uncertainty, [reward] * 3, [reward, reward - 1])


@pytest.mark.parametrize(
    ("annealing", "total", "frames"),
    [(10_000, 80_000, 20_000), (50_000, 80_000, 40_000), (100, 400, 1000)],
    ids=["as long again as exploration", "half of the run", "not of a few steps"],
)
def test_it_looks_when_more_is_known_than_what_random_actions_earn(annealing, total, frames):
    cfg = OmegaConf.create(
        {
            "exploration": {"annealing_frames": annealing},
            "collector": {"total_frames": total},
            "optim": {"gamma": 0.9},
            "env": {},
        }
    )
    check = CheckRewards.of(cfg, Contamination(0.1, 0.0), SimpleNamespace(max_steps=None))
    assert check.frames == frames
