"""EV charging in batches, held against SustainGym's own environment."""

import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import check_env_specs

from tests.envs._courses import at, follow
from tests.envs._evcharging import charging, real
from torchrl_drigm.envs import EVChargingEnv, SustainGymWrapper

pytestmark = [
    pytest.mark.evcharging,
    pytest.mark.filterwarnings("ignore:Invalid schedule provided"),
    # pandas 2 says so when acnportal adds a constraint to a network
    pytest.mark.filterwarnings("ignore:Downcasting object dtype arrays"),
]


def assert_same_day(site, period, day, levels, n_action_levels=5):
    """``levels`` ``[T, n]``."""
    options = {"n_action_levels": n_action_levels}
    batched = EVChargingEnv([(site, period)], num_envs=1, **options)
    ours = follow(batched, levels[:, None], batched.reset(at([day])))
    wrapper = SustainGymWrapper(charging(real(site, period)), **options)
    expected = follow(wrapper, levels, wrapper.reset(TensorDict({"day": day})))
    assert expected["reward"].abs().sum() > 0.1
    for key, value in expected.items():
        torch.testing.assert_close(ours[key][:, 0], value, atol=2e-4, rtol=1e-5, msg=key)


def policy(n, high):
    """Signals of a whole day, changed every half hour."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(high, (48, n), generator=generator).repeat_interleave(6, 0)


@pytest.mark.parametrize(
    ("site", "period", "day"), [("caltech", "Summer 2019", 7), ("jpl", "Fall 2019", 121)]
)
def test_follows_sustaingym(site, period, day):
    assert_same_day(site, period, day, policy({"caltech": 54, "jpl": 52}[site], 5))


def test_follows_sustaingym_where_signals_are_rounded():
    """Of 33 levels, whole amperes: below 6 A there is none, and some stations go by eights."""
    assert_same_day("caltech", "Summer 2021", 20, policy(54, 33), n_action_levels=33)


def test_specs():
    garages = [("caltech", "Summer 2019"), ("jpl", "Spring 2020")]
    env = EVChargingEnv(garages, num_envs=3, moer_forecast_steps=12, seed=0)
    check_env_specs(env)
    assert env.reset()["agents", "observation"].shape == (3, 54, 16)


def test_one_team_at_two_sites():
    """Copies of two garages are as each alone; nobody parks where there is no station."""
    garages = [("caltech", "Summer 2019"), ("jpl", "Spring 2020")]
    both = EVChargingEnv(garages, num_envs=2)
    levels = policy(54, 5)[:150]
    start = TensorDict({"day": torch.tensor([9, 100]), "garage": torch.tensor([0, 1])}, [2])
    seen = follow(both, levels[:, None].expand(-1, 2, -1), both.reset(start))
    for i, (garage, day) in enumerate(zip(garages, (9, 100), strict=True)):
        alone = EVChargingEnv([garage], num_envs=1)
        n = alone.n_agents
        expected = follow(alone, levels[:, None, :n], alone.reset(at([day])))
        torch.testing.assert_close(seen["reward"][:, i], expected["reward"][:, 0])
        torch.testing.assert_close(seen["obs"][:, i, :n], expected["obs"][:, 0])
    assert not seen["obs"][:, 1, 52:, :2].any()


def test_seed_and_state_dict():
    env = EVChargingEnv(days=(3, 60), num_envs=4, seed=5)
    td = env.rollout(60)[:, -1]["next"]
    saved = {key: value.clone() for key, value in env.state_dict().items()}
    rollouts = []
    for _ in range(2):
        torch.manual_seed(0)
        rollouts.append(env.rollout(9, auto_reset=False, tensordict=td.clone())["next", "reward"])
        env.reset()
        rollouts.append(env.day.clone())
        env.load_state_dict(saved)
    torch.testing.assert_close(rollouts[0], rollouts[2])
    assert rollouts[1].tolist() == rollouts[3].tolist()
    assert all(3 <= day < 60 for day in rollouts[1].tolist())


def test_errors():
    with pytest.raises(ValueError, match="'Summer 2020' is unknown; valid are the sites caltech"):
        EVChargingEnv([("caltech", "Summer 2020")])
    with pytest.raises(ValueError, match=r"garages='jpl' must be pairs \(site, period\)"):
        EVChargingEnv("jpl")
    with pytest.raises(ValueError, match=r"days=\(0, 123\) must be .* hi <= 121, .* Spring 2020"):
        EVChargingEnv([("jpl", "Spring 2020")], days=(0, 123))
    with pytest.raises(ValueError, match="moer_forecast_steps=37 must be at most 36"):
        EVChargingEnv(moer_forecast_steps=37)
    with pytest.raises(ValueError, match="n_stations=52 must be an int of at least 54"):
        EVChargingEnv(n_stations=52)
    with pytest.raises(ValueError, match=r"'day' must be in \[0, 123\)"):
        EVChargingEnv().reset(at([123]))
