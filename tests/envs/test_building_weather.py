"""Weather at random: its distribution, its memory, and that the file's is left where it is off."""

import io
import math

import pytest
import torch
from torchrl.envs import check_env_specs

from tests.envs._sustaingym import at, follow
from torchrl_drigm.envs import SustainGymEnv

pytestmark = pytest.mark.sustaingym

IDLE = 100


def outdoors(env, steps, day=200):
    """Outdoor °C, ground °C and irradiance ``[T, B, 3]`` of the first steps of a day."""
    batch = env.batch_size[0]
    levels = torch.full((steps, batch, 6), IDLE)
    return follow(env, levels, env.reset(at([day] * batch)))["state"][..., 6:9]


def test_severity_0_changes_no_bit():
    levels = torch.randint(200, (50, 3, 6), generator=torch.Generator().manual_seed(0))
    envs = SustainGymEnv(num_envs=3, random_weather={"severity": 0.0}), SustainGymEnv(num_envs=3)
    ours, expected = (follow(env, levels, env.reset(at([0, 90, 180]))) for env in envs)
    for key, value in expected.items():
        assert torch.equal(ours[key], value)


@pytest.mark.parametrize("severity", [1.0, 2.0])
def test_temperature_strays_by_its_standard_deviation_and_remembers_its_hours(severity):
    weather = {"temperature": 2.0, "hours": 1.0, "clouds": 0.0, "severity": severity}
    env = SustainGymEnv(num_envs=4000, random_weather=weather, seed=0)
    real = outdoors(SustainGymEnv(num_envs=1), 37)
    strays = outdoors(env, 37) - real
    first, hour, later = strays[0, :, 0], strays[12, :, 0], strays[36, :, 0]
    for at_one_time in (first, hour, later):
        assert at_one_time.mean().abs() < 0.1 * severity
        assert at_one_time.std() == pytest.approx(2.0 * severity, rel=0.05)
    correlation = (first * hour).mean() / (first.std() * hour.std())
    assert correlation == pytest.approx(math.exp(-1), abs=0.05)
    assert strays[..., 1:].eq(0).all()


def test_clouds_take_a_uniform_share_of_the_irradiance():
    env = SustainGymEnv(num_envs=4000, random_weather={"clouds": 0.8, "temperature": 0.0}, seed=0)
    noon = outdoors(env, 150)[-1]
    real = outdoors(SustainGymEnv(num_envs=1), 150)[-1]
    assert real[0, 2] > 0.1
    left = noon[:, 2] / real[0, 2]
    assert left.min() >= 0.2 and left.max() <= 1.0
    assert left.mean() == pytest.approx(0.6, abs=0.02)
    assert left.std() == pytest.approx(0.8 / math.sqrt(12), abs=0.02)
    assert torch.equal(noon[:, :2], real[:, :2].expand(4000, 2))


def test_clouds_leave_no_negative_irradiance():
    weather = {"clouds": 0.8, "severity": 5.0}
    env = SustainGymEnv(num_envs=500, random_weather=weather, seed=0)
    assert (outdoors(env, 150)[..., 2] >= 0).all()


def test_what_a_model_is_told_is_the_weather_of_the_next_step():
    env = SustainGymEnv(num_envs=2, random_weather={}, seed=0)
    td = env.reset()
    idle = env.passive_temperature()
    td["agents", "action"] = torch.full((2, 6), IDLE)
    torch.testing.assert_close(env.step(td)["next", "state"][:, :6], idle)


def test_a_reset_draws_new_weather_for_its_copies_alone():
    env = SustainGymEnv(num_envs=2, random_weather={}, seed=0)
    td = env.step(env.rand_action(env.reset(at([5, 5]))))["next"]
    before, idle = td["state"].clone(), env.passive_temperature()
    td["_reset"] = torch.tensor([[True], [False]])
    td = env.reset(td, day=torch.tensor([5, 5]))
    assert torch.equal(td["state"][1], before[1])
    assert torch.equal(env.passive_temperature()[1], idle[1])
    assert td["state"][0, 6] != before[0, 6]


def test_specs():
    check_env_specs(SustainGymEnv(num_envs=3, random_weather={}))


def test_the_weather_follows_from_the_seed():
    def drawn(seed):
        return outdoors(SustainGymEnv(num_envs=3, random_weather={}, seed=seed), 5)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_state_dict_resumes_the_weather_exactly():
    env = SustainGymEnv(num_envs=3, random_weather={}, failures={}, seed=1)
    outdoors(env, 20)
    stored = io.BytesIO()
    torch.save(env.state_dict(), stored)

    def go_on(env):
        idle = torch.full((20, 3, 6), IDLE)
        return follow(env, idle, env.full_action_spec.zero())["state"]

    expected = go_on(env)
    other = SustainGymEnv(num_envs=3, random_weather={}, failures={}, seed=2)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(go_on(other), expected)


@pytest.mark.parametrize(
    ("weather", "message"),
    [
        ({"temperature": -1.0}, "random_weather: temperature=-1.0 must be a finite number, at"),
        ({"hours": 0}, "random_weather: hours=0 must be a finite number, positive"),
        ({"clouds": 1.5}, r"random_weather: clouds=1.5 must be a finite number, in \[0, 1\]"),
        ({"severity": float("inf")}, "random_weather: severity=inf must be a finite number"),
        ("stormy", "random_weather='stormy' must be None, a RandomWeather, or a mapping"),
    ],
)
def test_what_is_no_weather_is_refused(weather, message):
    with pytest.raises(ValueError, match=message):
        SustainGymEnv(random_weather=weather)
