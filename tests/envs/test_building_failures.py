"""Heaters that fail: how often, for how long, what it does, and that nothing else changes."""

import io

import pytest
import torch
from torchrl.envs import check_env_specs

from tests.envs._sustaingym import at, follow
from torchrl_drigm.envs import HeaterFailures, SustainGymEnv

pytestmark = pytest.mark.sustaingym

OFTEN = {"rate": 0.3, "rated_power": 0.2, "exponent": 2.0, "steps": 5}


def building(num_envs=1, seed=0, **failures):
    return SustainGymEnv(
        num_envs=num_envs, n_action_levels=20, failures={**OFTEN, **failures}, seed=seed
    )


def play(env, levels):
    """Levels ``[T, n]``, the same in all copies; steps left ``[T, B, n]`` after each step."""
    td = env.reset(at([50] * env.batch_size[0]))
    rows = []
    for step_levels in levels:
        td["agents", "action"] = step_levels.expand(*env.batch_size, env.n_agents)
        td = env.step(td)["next"]
        rows.append(env.steps_left)
    return torch.stack(rows)


def test_without_failures_steps_draw_no_random_numbers():
    env = SustainGymEnv(num_envs=2, seed=0)
    td = env.reset()
    before = env.get_extra_state()
    follow(env, torch.randint(200, (10, 2, 6)), td)
    assert torch.equal(env.get_extra_state(), before)
    assert set(env.state_dict()) == set(SustainGymEnv(num_envs=2).state_dict())
    assert not any("steps_left" in name for name in env.state_dict())


@pytest.mark.parametrize("failures", [{"severity": 0.0}, {"rate": 0.0}], ids=["severity", "rate"])
def test_heaters_that_never_fail_change_no_bit(failures):
    levels = torch.randint(20, (50, 3, 6), generator=torch.Generator().manual_seed(0))
    nominal = SustainGymEnv(num_envs=3, n_action_levels=20)
    random = building(3, **failures)
    ours, expected = (follow(e, levels, e.reset(at([0, 90, 180]))) for e in (random, nominal))
    for key, value in expected.items():
        assert torch.equal(ours[key], value)


@pytest.mark.parametrize("n_action_levels", [10, 20, 50, 200])
def test_a_level_at_the_rated_power_is_without_risk_on_every_grid(n_action_levels):
    power = torch.add(torch.tensor(-1.0), torch.arange(n_action_levels), alpha=2 / n_action_levels)
    for k in range(n_action_levels // 2):
        failures = HeaterFailures(rated_power=2 * k / n_action_levels, exponent=0.5)
        distance = (torch.arange(n_action_levels) - n_action_levels // 2).abs()
        assert torch.equal(failures.probability(power) > 0, distance > k), k


@pytest.mark.parametrize("severity", [1.0, 3.0])
def test_heaters_fail_as_often_as_the_formula_says(severity):
    env = building(20_000, severity=severity)
    # powers -1, -0.5, 0, 0.2, 0.6, 0.9
    failed = play(env, torch.tensor([[0, 5, 10, 12, 16, 19]]))[0] > 0
    excess = torch.tensor([1.0, 0.375, 0.0, 0.0, 0.5, 0.875])
    expected = severity * 0.3 * excess**2
    bound = 4 * (expected * (1 - expected) / 20_000).sqrt() + 1e-6
    assert ((failed.float().mean(0) - expected).abs() <= bound).all()
    # each on its own
    both = (failed[:, 0] & failed[:, 5]).float().mean()
    assert both == pytest.approx(float(expected[0] * expected[5]), abs=0.015)


def test_a_heater_is_out_of_order_for_exactly_its_steps():
    left = play(building(rate=1.0, exponent=1e-9), torch.tensor([[0, 10, 10, 10, 10, 10]] * 7))
    # fails in step 1, works at once after five steps without effect, and fails again
    assert left[:, 0, 0].tolist() == [5, 4, 3, 2, 1, 0, 5]
    assert left[:, 0, 1:].eq(0).all()


def test_out_of_order_has_no_effect_and_costs_nothing():
    broken = building(rate=1.0, exponent=1e-9, steps=100)
    healthy = SustainGymEnv(num_envs=1, n_action_levels=20)
    first = torch.tensor([[[19, 10, 10, 10, 10, 10]]])
    later = torch.tensor([[[0, 10, 10, 10, 10, 10]], [[19, 10, 10, 10, 10, 10]]])
    nothing = torch.full_like(later, 10)
    ours = follow(broken, torch.cat([first, later]), broken.reset(at([50])))
    expected = follow(healthy, torch.cat([first, nothing]), healthy.reset(at([50])))
    for key, value in expected.items():
        assert torch.equal(ours[key], value)


def test_the_failing_step_itself_still_works():
    env, healthy = building(rate=1.0, exponent=1e-9), SustainGymEnv(num_envs=1, n_action_levels=20)
    levels = torch.full((1, 1, 6), 19)
    ours, expected = (follow(e, levels, e.reset(at([50]))) for e in (env, healthy))
    assert torch.equal(ours["state"], expected["state"])
    assert env.steps_left.eq(5).all()


def test_agents_see_their_own_heater_alone_and_the_state_sees_all():
    env = building(rate=1.0, exponent=1e-9, observed=True)
    td = env.reset(at([50]))
    assert td["agents", "observation"].shape == (1, 6, 6) and td["state"].shape == (1, 16)
    td["agents", "action"] = torch.tensor([[10, 19, 10, 10, 10, 10]])
    td = env.step(td)["next"]
    assert td["agents", "observation"][0, :, 5].tolist() == [0, 1, 0, 0, 0, 0]
    assert td["state"][0, 10:].tolist() == [0, 1, 0, 0, 0, 0]
    td["agents", "action"] = torch.full((1, 6), 10)
    assert env.step(td)["next", "agents", "observation"][0, 1, 5] == pytest.approx(0.8)


def test_by_default_observations_have_sustaingyms_shape():
    td = building().reset()
    assert td["agents", "observation"].shape == (1, 6, 5) and td["state"].shape == (1, 10)


def test_only_copies_that_reset_are_repaired():
    env = building(2, rate=1.0, exponent=1e-9)
    td = env.reset()
    td["agents", "action"] = torch.full((2, 6), 19)
    td = env.step(td)["next"]
    td["_reset"] = torch.tensor([[True], [False]])
    env.reset(td)
    assert env.steps_left.tolist() == [[0] * 6, [5] * 6]


@pytest.mark.parametrize("observed", [False, True], ids=["hidden", "observed"])
def test_specs(observed):
    check_env_specs(building(3, observed=observed))


def test_what_fails_follows_from_the_seed():
    levels = torch.full((40, 6), 19)
    first = play(building(4, seed=1), levels)
    assert torch.equal(play(building(4, seed=1), levels), first)
    assert not torch.equal(play(building(4, seed=2), levels), first)


def test_a_higher_severity_fails_where_a_lower_one_does():
    levels = torch.full((1, 6), 17)
    mild, severe = (play(building(500, severity=s), levels) > 0 for s in (1.0, 3.0))
    assert (mild <= severe).all() and mild.sum() < severe.sum()


def test_a_state_dict_resumes_failures_exactly():
    levels = torch.full((40, 6), 17)
    env = building(3, seed=1, observed=True)
    play(env, levels)
    stored = io.BytesIO()
    torch.save(env.state_dict(), stored)

    def go_on(env):
        td, rows = env.rand_action(), []
        for step_levels in levels:
            td["agents", "action"] = step_levels.expand(3, 6)
            both, td = env.step_and_maybe_reset(td)
            rows.append(both["next", "state"])
        return torch.stack(rows)

    expected = go_on(env)
    other = building(3, seed=2, observed=True)
    handed_out = other.steps_left
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(go_on(other), expected)
    assert handed_out.eq(0).all()


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ({"rate": -0.1}, r"failures: rate=-0.1 must be a finite number, in \[0, 1\]"),
        ({"rate": 1.1}, r"failures: rate=1.1 must be a finite number, in \[0, 1\]"),
        ({"rate": float("nan")}, "failures: rate=nan must be a finite number"),
        ({"rate": True}, "failures: rate=True must be a finite number"),
        ({"rated_power": 1.0}, r"rated_power=1.0 must be a finite number, in \[0, 1\)"),
        ({"exponent": 0.0}, "exponent=0.0 must be a finite number, positive"),
        ({"severity": -1.0}, "severity=-1.0 must be a finite number, at least 0"),
        ({"steps": 0}, "steps=0 must be an int of at least 1"),
        ({"observed": 1}, "observed=1 must be true or false"),
        ({"rate": 0.5, "severity": 3.0}, "severity=3.0 times rate=0.5 is 1.5, .* lower one"),
        ({"rates": 0.5}, r"failures={'rates': 0.5} must be None, a HeaterFailures, or .*'rate'"),
        (0.5, "failures=0.5 must be None, a HeaterFailures, or a mapping of its fields"),
    ],
)
def test_what_no_heater_does_is_refused(failures, message):
    with pytest.raises(ValueError, match=message):
        SustainGymEnv(failures=failures)


def test_failures_may_be_an_object():
    failures = HeaterFailures(rate=0.2)
    assert SustainGymEnv(failures=failures).failures is failures
