"""Harvest, machines and drones: their exact returns over severity, and what each rule says."""

import dataclasses
import functools

import pytest
import torch

from torchrl_drigm.tabular import (
    drones,
    greedy_joint_actions,
    harvest,
    machines,
    numeric_worst_value,
    optimal_values,
    policy_evaluation,
    robust_value_iteration,
)
from torchrl_drigm.uncertainty import Contamination, CVaR, Nominal, TotalVariation

MODELS = {"harvest": harvest, "machines": machines, "drones": drones}
NOMINAL = {
    "harvest": {1: 13.84, 2: 8.31, 3: 4.87, 4: 2.79, 6: 0.84},
    "machines": {1: 17.41, 2: 13.69, 3: 10.27, 4: 7.12, 6: 1.40},
    "drones": {1: 62.3, 3: 46.1, 4: 39.3, 6: 26.2},
}
ORACLE = {
    "harvest": {1: 13.84, 2: 11.30, 3: 11.30, 4: 11.30, 6: 11.30},
    "machines": {1: 17.41, 2: 14.46, 3: 12.77, 4: 11.15, 6: 11.05},
}


def trained(model, uncertainty):
    """The greedy policy of robust value iteration."""
    uncertainty = numeric_worst_value(model, uncertainty)
    return greedy_joint_actions(robust_value_iteration(model, uncertainty).q)


def at_severities(make, policy, severities):
    """Exact returns from the start."""
    return {s: policy_evaluation(make(float(s)), policy)[1][0].item() for s in severities}


def near(expected, digits=2):
    return pytest.approx(expected, abs=0.006 if digits == 2 else 0.06)


@pytest.mark.parametrize("name", MODELS)
def test_nominal_training_has_the_returns_of_the_table(name):
    expected = NOMINAL[name]
    found = at_severities(MODELS[name], trained(MODELS[name](), Nominal()), expected)
    assert found == near(expected, digits=1 if name == "drones" else 2)


@pytest.mark.parametrize("name", ORACLE)
def test_training_at_the_severity_itself_has_the_returns_of_the_table(name):
    found = {s: optimal_values(MODELS[name](float(s)))[1][0].item() for s in ORACLE[name]}
    assert found == near(ORACLE[name])


@pytest.mark.parametrize(
    ("name", "rho", "expected"),
    [
        ("harvest", 0.3, {1: 13.05, 2: 10.55, 3: 8.45, 4: 6.69, 6: 4.06}),
        ("harvest", 0.5, dict.fromkeys((1, 2, 3, 4, 6), 11.30)),
        ("machines", 0.1, {1: 17.37, 2: 13.17, 3: 9.10, 4: 5.26, 6: -1.54}),
        ("machines", 0.2, {1: 17.37, 2: 13.17, 3: 9.10, 4: 5.26, 6: -1.54}),
    ],
)
def test_total_variation_has_the_returns_of_the_table(name, rho, expected):
    policy = trained(MODELS[name](), TotalVariation(rho))
    assert at_severities(MODELS[name], policy, expected) == near(expected)


@pytest.mark.parametrize(
    ("name", "rho", "expected"),
    [
        ("harvest", 0.3, {1: 13.05, 2: 10.55, 3: 8.45, 4: 6.69, 6: 4.06}),
        ("harvest", 0.5, dict.fromkeys((1, 2, 3, 4, 6), 11.30)),
        ("machines", 0.5, {1: 16.21, 2: 14.46, 3: 12.77, 4: 11.15, 6: 8.07}),
        ("drones", 0.75, {1: 59.8, 3: 55.8, 4: 53.9, 6: 50.2}),
    ],
)
def test_cvar_has_the_returns_of_the_table(name, rho, expected):
    found = at_severities(MODELS[name], trained(MODELS[name](), CVaR(rho)), expected)
    assert found == near(expected, digits=1 if name == "drones" else 2)


@pytest.mark.parametrize(
    ("uncertainty", "expected"),
    [
        (Nominal(), {1: 16.45, 3: 6.69, 6: -7.45}),
        (CVaR(0.5), {1: 16.45, 3: 6.69, 6: -7.45}),
        (CVaR(0.5, joint_with_reward=True), {1: 15.77, 3: 10.92, 6: 2.92}),
    ],
    ids=str,
)
def test_a_cost_in_the_reward_is_seen_by_a_set_that_is_joint_with_it(uncertainty, expected):
    make = functools.partial(machines, cost_in_reward=True)
    assert at_severities(make, trained(make(), uncertainty), expected) == near(expected)


@pytest.mark.parametrize("name", MODELS)
def test_no_discount_beats_nominal_training_by_itself(name):
    """The best discount in hindsight, of a grid, is that of the model."""
    model, severities = MODELS[name](), NOMINAL[name]
    best = dict.fromkeys(severities, -torch.inf)
    for gamma in (*(i / 10 for i in range(1, 10)), 0.93, 0.95, model.gamma):
        if gamma <= model.gamma:
            policy = trained(dataclasses.replace(model, gamma=gamma), Nominal())
            found = at_severities(MODELS[name], policy, severities)
            best = {s: max(best[s], found[s]) for s in severities}
    assert best == near(NOMINAL[name], digits=1 if name == "drones" else 2)


def test_contamination_is_nominal_training_in_the_harvest():
    for rho in (0.1, 0.3, 0.5):
        uncertainty = Contamination(rho, worst_value=0.0)
        found = at_severities(harvest, trained(harvest(), uncertainty), NOMINAL["harvest"])
        assert found == near(NOMINAL["harvest"])


class TestHarvest:
    def test_all_is_lost_where_one_is_caught(self):
        model = harvest(2.0)
        row = model.kernel[0, 1, 1]
        assert row[-1].item() == pytest.approx(1 - 0.92**2)
        assert model.terminal.nonzero().tolist() == [[49]]

    def test_the_sum_is_paid_in_the_seventh_step(self):
        quiet = torch.zeros(50, 2, dtype=torch.int64)
        _, v = policy_evaluation(harvest(), quiet)
        assert v[0].item() == pytest.approx(12 * 0.99**6)


class TestMachines:
    @pytest.mark.parametrize(("age", "probability"), list(enumerate((0.0, 0.04, 0.08, 0.16))))
    def test_they_fail_by_their_age(self, age, probability):
        row = machines(2.0).kernel[7 * age, 0, 1].reshape(7, 7).sum(1)
        assert row[4].item() == pytest.approx(probability)
        assert row[min(age + 1, 3)].item() == pytest.approx(1 - probability)

    def test_a_repair_takes_three_steps_at_five(self):
        model = machines()
        state, paid = 7 * 4 + 3, []
        for _ in range(3):
            paid.append(model.reward[state, 0, 1].item())
            state = model.kernel[state, 0, 1].argmax().item()
        assert paid == [-5.5, -5.5, -5.5] and state == 0

    def test_both_running_yields_one_more(self):
        assert machines().reward[0].tolist() == [[3.0, 0.5], [0.5, -1.0]]

    def test_a_failure_that_is_paid_at_once_leaves_a_new_machine(self):
        model = machines(cost_in_reward=True)
        assert model.n_states == 16
        assert model.reward[4 * 3 + 3, 0, 1].item() == pytest.approx(1 - 18 * 0.08 - 0.5)
        assert model.outcome_reward[4 * 3 + 3, 0, 1, [0, 4 * 3]].tolist() == [-17.5, 0.5]
        assert model.kernel[4 * 3 + 3, 0, 1].reshape(4, 4)[:, 0].tolist() == pytest.approx(
            [0.08, 0.0, 0.0, 0.92]
        )


class TestDrones:
    @pytest.mark.parametrize(
        ("charge", "calm", "gusty"), [(6, 5, 3), (4, 3, 1), (3, 2, 0), (2, 1, 0), (1, 0, 0)]
    )
    def test_a_patrol_uses_one_and_a_gust_three(self, charge, calm, gusty):
        row = drones(2.0).kernel[11 * (6 - charge), 0, 1].reshape(11, 11).sum(1)
        expected = torch.zeros(11, dtype=torch.float64)
        for left, probability in ((calm, 0.92), (gusty, 0.08)):
            expected[6 - left if left else 7] += probability
        torch.testing.assert_close(row, expected)

    def test_charging_takes_two_steps(self):
        model, state = drones(), 11 * 4 + 4
        for _ in range(2):
            state = model.kernel[state, 1, 1].argmax().item()
        assert state == 0

    def test_down_is_four_steps_at_three(self):
        model, state, paid = drones(), 11 * 7 + 7, []
        for _ in range(4):
            paid.append(model.reward[state, 0, 0].item())
            state = model.kernel[state, 0, 0].argmax().item()
        assert paid == [-6.0] * 4 and state == 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("severity", [-1.0, float("nan"), 26.0, "2"])
def test_a_severity_out_of_range_is_refused(name, severity):
    with pytest.raises(ValueError, match=r"severity=.* must be a number in \[0, [125.]+\]: it mul"):
        MODELS[name](severity)


@pytest.mark.parametrize(("name", "largest"), [("harvest", 25), ("machines", 12.5), ("drones", 25)])
def test_the_largest_severity_is_certain_and_none_is_safe(name, largest):
    assert (MODELS[name](largest).kernel <= 1.0).all()
    assert ((MODELS[name](0.0).kernel == 0) | (MODELS[name](0.0).kernel == 1)).all()
