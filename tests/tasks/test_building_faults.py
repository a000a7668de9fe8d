"""Shifts of physics, sensors and actuators, as a building's task plays them."""

import pytest
import torch

from torchrl_drigm.evaluation import DoNothing, OneStepOracle, ProportionalControl, evaluate
from torchrl_drigm.tasks import BuildingTask, read_suite, refuse_test_shifts

pytest.importorskip(
    "sustaingym", reason='needs SustainGym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym

ACTION, OBSERVATION = ("agents", "action"), ("agents", "observation")


def play(shift, levels, seed=0, num_envs=1, **task):
    """What is seen, the state and the rewards ``[T, B, ...]``, for levels ``[T - 1]`` of all."""
    env = BuildingTask(**task).make_env(num_envs, "test", seed, {"name": "shift", **shift})
    td = env.reset()
    rows = [td]
    for level in levels:
        td[ACTION] = torch.full((num_envs, 6), level)
        td = env.step(td)["next"]
        rows.append(td)
    played = {key: torch.stack([row[key] for row in rows]) for key in (OBSERVATION, "state")}
    return played | {"reward": torch.stack([row["reward"] for row in rows[1:]])}


def read_too_high(shift, **options):
    """What thermometers read above the temperature of their zone ``[T, B, 6]``, the rest of it."""
    played = play(shift, [100] * 20, **options)
    too_high = played[OBSERVATION][..., 0] - played["state"][..., :6]
    rest, state = played[OBSERVATION][..., 1:], played["state"][..., 6:]
    assert torch.equal(rest, state.unsqueeze(-2).expand_as(rest))
    return too_high


def test_nothing_is_wrong_by_default():
    assert read_too_high({}).abs().max() == 0


def test_noise_is_in_degrees_of_each_agents_own_thermometer():
    noise = read_too_high({"temperature_noise": 0.5}, num_envs=200).reshape(-1, 6)
    error = 0.5 / len(noise) ** 0.5
    assert noise.mean(0).abs().max() < 5 * error
    torch.testing.assert_close(noise.T.cov(), 0.25 * torch.eye(6), atol=5 * error, rtol=0)


def test_a_bias_is_there_from_the_first_reading_on():
    bias = read_too_high({"temperature_bias": -1.5})
    torch.testing.assert_close(bias, torch.full_like(bias, -1.5))


def test_a_control_with_a_biased_thermometer_holds_another_temperature():
    """A control that sees 1 °C too much is one whose set point is 1 °C lower."""
    biased = evaluate(ProportionalControl(), suite=[{"name": "a", "temperature_bias": 1.0}])
    lower = evaluate(ProportionalControl(setpoint=21.0), suite=[{"name": "a"}])
    assert biased["return"].tolist() == pytest.approx(lower["return"].tolist(), rel=1e-3)


def test_a_dropped_reading_leaves_the_last_one():
    played = play({"dropped_readings": 1.0}, [199] * 5)
    assert (played[OBSERVATION][..., 0] == 22).all() and (played["state"][1:, :, :6] != 22).all()


@pytest.mark.parametrize(("delay", "arrived"), [(1, [100, 150, 20]), (2, [100, 100, 150])])
def test_a_power_is_delayed_and_off_until_then(delay, arrived):
    late, given = play({"delay": delay}, [150, 20, 199]), play({}, arrived)
    assert torch.equal(late["state"], given["state"])
    assert torch.equal(late["reward"], given["reward"])  # it pays for what it does


@pytest.mark.parametrize(("n_levels", "idle"), [(200, 100), (10, 5), (5, 2)])
def test_off_is_the_level_nearest_to_power_0(n_levels, idle):
    late, off = (
        play(shift, [level] * 2, n_action_levels=n_levels)
        for shift, level in (({"delay": 3}, 0), ({}, idle))
    )
    assert torch.equal(late["state"], off["state"])


def test_a_stuck_heater_stays_at_its_last_power_for_its_steps():
    stuck = play({"stuck": 1.0, "stuck_steps": 2}, [150, 20, 30, 40])
    assert torch.equal(stuck["state"], play({}, [150] * 4)["state"])
    freed = play({"stuck": 0.0, "stuck_steps": 2}, [150, 20, 30, 40])
    assert torch.equal(freed["state"], play({}, [150, 20, 30, 40])["state"])


SUITE = [
    {"name": "as trained"},
    {"name": "late", "delay": 3},
    {"name": "stuck", "stuck": 0.2},
    {"name": "noisy", "temperature_noise": 1.0},
    {"name": "strong", "heating_power": 2.5},
    {"name": "again"},
]


def test_who_does_nothing_notices_no_fault():
    returns = evaluate(DoNothing(), suite=SUITE, episodes=3).pivot(
        index="episode", columns="shift", values="return"
    )
    assert (returns.sub(returns["as trained"], axis=0) == 0).all(axis=None)


def test_days_are_shared_and_teams_have_the_same_faults():
    first = evaluate(ProportionalControl(), suite=SUITE, episodes=3)
    days = first.pivot(index="episode", columns="shift", values="day")
    assert (days.sub(days["as trained"], axis=0) == 0).all(axis=None)
    assert evaluate(ProportionalControl(), suite=SUITE, episodes=3).equals(first)
    mean = first.groupby("shift")["return"].mean()
    assert (mean[["late", "stuck", "noisy"]] < mean["as trained"]).all()
    assert mean["again"] == mean["as trained"]


def test_the_oracle_stays_the_limit_in_other_buildings():
    suite = [shift for shift in BuildingTask.suites["physics"] if shift["level"] > 0.4]
    oracle = evaluate(OneStepOracle(), suite=suite, episodes=5)
    assert (oracle["normalized_return"] > 0.98).all()
    control = evaluate(ProportionalControl(), suite=suite, episodes=5)
    assert (oracle["return"] > control["return"]).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heating_power": 0}, "heating_power=0 must be a finite number, a factor above 0"),
        ({"thermal_resistance": -1.0}, "thermal_resistance=-1.0 must be"),
        ({"ground_coupling": "high"}, "ground_coupling='high' must be"),
        ({"temperature_noise": -0.5}, "temperature_noise=-0.5 must be a finite number, at least 0"),
        ({"temperature_bias": None}, "temperature_bias=None must be a finite number, in °C"),
        ({"temperature_bias": float("inf")}, "temperature_bias=inf must be"),
        ({"dropped_readings": 1.5}, r"dropped_readings=1.5 must be a finite number, in \[0, 1\]"),
        ({"stuck": -0.1}, r"stuck=-0.1 must be a finite number, in \[0, 1\]"),
        ({"stuck": 0.1, "stuck_steps": 0}, "stuck_steps=0 must be an int of at least 1"),
        ({"stuck_steps": 3}, "stuck_steps says for how long .* give stuck, too"),
        ({"delay": -1}, "delay=-1 must be an int of at least 0"),
        ({"delay": 1.5}, "delay=1.5 must be an int of at least 0"),
        ({"wind": 2}, r"has \['wind'\], which the task 'building' does not know"),
    ],
)
def test_values_that_no_building_has_are_refused(values, message):
    with pytest.raises(ValueError, match=f"suite 'own': shift 'odd'.*{message}"):
        read_suite(BuildingTask(), [{"name": "odd", **values}])


@pytest.mark.parametrize(
    ("shift", "other"),
    [
        ({"heating_power": 2.5, "days": [0, 200]}, "heating power x 2.5"),
        ({"delay": 2, "temperature_bias": 0}, "delay 2"),
        ({"stuck": 0.01, "stuck_steps": 12}, "stuck 0.01"),
        ({"failures": {"rate": 0.1}, "stuck": 0.0}, "heater failures 0.1"),
        ({"failures": {"rate": 0.0}}, "env_1"),
        ({"stuck": 0.0, "stuck_steps": 5}, "env_1"),
    ],
)
def test_a_test_shift_in_other_words_is_refused_for_choosing(shift, other):
    with pytest.raises(ValueError, match=f"shift 'mine' is '{other}' of the test suite"):
        refuse_test_shifts(BuildingTask(), "own", [{"name": "mine", **shift}], {})


@pytest.mark.parametrize("shift", [{"delay": 4}, {"stuck": 0.01, "stuck_steps": 13}])
def test_another_fault_is_no_test(shift):
    refuse_test_shifts(BuildingTask(), "own", [{"name": "mine", **shift}], {})
