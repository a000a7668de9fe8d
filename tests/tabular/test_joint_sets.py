"""Sets that are joint with the reward, on exact models: worst cases of r + gamma V'."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.sets import LowestShare
from tests.tabular.linear_programs import worst_expectations
from tests.tabular.zoo import KINDS, WORST_VALUES, small_models
from torchrl_drigm.tabular import (
    DecPOMDP,
    FiniteSet,
    additive_decomposition,
    check_drigm,
    model_under,
    numeric_worst_value,
    optimal_values,
    random_dec_pomdp,
    robust_bellman,
    robust_individual_values,
    robust_value_iteration,
    robust_values,
    train_against_exact,
    worst_case_kernel,
)
from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation, make_set


def machine(fails=0.1, cost=18.0):
    """A machine that earns 1 a step; failing costs at once, and it is replaced: V' is certain."""
    kernel = torch.tensor([1 - fails, fails], dtype=torch.float64).expand(2, 1, 2)
    reward = torch.tensor([1.0, 1.0 - cost]).expand(2, 1, 2)
    return DecPOMDP(kernel, reward, gamma=0.5)


def paying_by_state(model, seed=0):
    """A copy of a drawn model that pays, beside its reward, for the state that it comes to."""
    generator = torch.Generator().manual_seed(seed)
    extra = torch.randn(model.n_states, 1, 1, model.n_states, generator=generator)
    reward = model.reward.unsqueeze(-1) + extra.double()
    return dataclasses.replace(model, reward=reward * (~model.terminal)[:, None, None, None])


def joint(kind, rho=0.25, worst_value=None):
    return make_set(kind, rho=rho, worst_value=worst_value, joint_with_reward=True)


class TestByHand:
    def test_damage_that_is_paid_at_once_is_seen(self):
        # nominal: 1 - 0.1 * 18 = -0.8 a step; worst half of the outcomes: a failure in five, -2.6
        plain = LowestShare(0.5)
        for uncertainty, value in (
            (Nominal(), -1.6),
            (Nominal(joint_with_reward=True), -1.6),
            (plain, -1.6),
            (plain.replace(joint_with_reward=True), -5.2),
        ):
            found = robust_value_iteration(machine(), uncertainty)
            assert found.v.tolist() == pytest.approx([value] * 2)

    def test_failing_is_worth_the_worst_value(self):
        # V = 0.8 (1 + V/2) + 0.1 (V/2 - 17) + 0.1 v, and contamination 0.9 (V/2 - 0.8) + 0.1 v
        values = [
            robust_value_iteration(machine(), joint(kind, 0.1, -30.0)).v[0].item()
            for kind in ("tv", "contamination")
        ]
        assert values == pytest.approx([-3.9 / 0.55, -3.72 / 0.55])

    def test_without_a_number_the_worst_outcome_is_the_failure(self):
        # V = 0.8 * 1 - 0.2 * 17 + V/2
        assert robust_value_iteration(machine(), joint("tv", 0.1)).v.tolist() == pytest.approx(
            [-5.2] * 2
        )


@pytest.mark.parametrize("worst_value", [None, -30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_one_backup_against_linear_programs(kind, worst_value):
    generator = torch.Generator().manual_seed(0)
    for seed, drawn in enumerate(small_models(5)):
        model = paying_by_state(drawn, seed)
        v = torch.randn(4, generator=generator, dtype=torch.float64)
        q = robust_bellman(model, joint(kind, worst_value=worst_value), v)
        v[model.terminal] = 0.0
        nominal = model.kernel[:3].flatten(0, -2).numpy()
        outcome = (model.outcome_reward + model.gamma * v)[:3].flatten(0, -2).numpy()
        if worst_value is not None:  # below every outcome: the ball may go there from everywhere
            nominal = np.pad(nominal, ((0, 0), (0, 1)))
            outcome = np.pad(outcome, ((0, 0), (0, 1)), constant_values=worst_value)
        expected = worst_expectations(nominal, outcome, kind, 0.25)
        np.testing.assert_allclose(q[:3].flatten().numpy(), expected, rtol=0, atol=1e-8)
        assert not q[3].any()


SETS = [
    *(joint(kind, worst_value=worst_value) for kind in KINDS for worst_value in WORST_VALUES),
    LowestShare(0.25, joint_with_reward=True),
]


class TestWorstKernel:
    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_attains_the_robust_values_and_lies_in_the_set(self, uncertainty):
        for seed, drawn in enumerate(small_models(5)):
            for model in (drawn, paying_by_state(drawn, seed)):
                found = robust_value_iteration(model, uncertainty)
                worst = worst_case_kernel(model, uncertainty, found.v)
                acting = ~model.terminal
                rows = worst[: model.n_states][acting]
                assert uncertainty.contains(model.kernel[acting], rows).all()
                q, _ = optimal_values(model_under(model, uncertainty, worst))
                torch.testing.assert_close(q[: model.n_states], found.q, rtol=0, atol=1e-9)

    def test_other_sets_leave_the_expected_reward_as_it_is(self):
        for seed, drawn in enumerate(small_models(3)):
            model = paying_by_state(drawn, seed)
            for uncertainty in (TotalVariation(0.25), TotalVariation(0.25, -3.0)):
                found = robust_value_iteration(model, uncertainty)
                worst = worst_case_kernel(model, uncertainty, found.v)
                q, _ = optimal_values(model_under(model, uncertainty, worst))
                torch.testing.assert_close(q[: model.n_states], found.q, rtol=0, atol=1e-9)
                assert not torch.allclose(
                    found.q, robust_values(model, uncertainty.replace(joint_with_reward=True))
                )


class TestAgainstSetsOverTheNextState:
    """Where the reward does not depend on the outcome."""

    @pytest.mark.parametrize(
        "uncertainty",
        [Nominal(), LowestShare(0.3), TotalVariation(0.3), Contamination(0.3)],
        ids=str,
    )
    def test_the_same_for_sets_that_move_with_the_values(self, uncertainty):
        for model in small_models(5):
            torch.testing.assert_close(
                robust_values(model, uncertainty.replace(joint_with_reward=True)),
                robust_values(model, uncertainty),
            )

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_worst_value_is_one_of_the_return(self, kind):
        """v there is what a worst value of the next state of (v - r) / gamma is here."""
        model = small_models(1)[0]
        v = torch.tensor([1.0, -0.5, 0.25, 0.0], dtype=torch.float64)
        q = robust_bellman(model, joint(kind, worst_value=-3.0), v)
        for s, a, b in np.ndindex(3, 2, 2):
            moved = (-3.0 - model.reward[s, a, b].item()) / model.gamma
            plain = robust_bellman(model, make_set(kind, rho=0.25, worst_value=moved), v)
            assert q[s, a, b].item() == pytest.approx(plain[s, a, b].item())


class TestWorstValue:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_the_worst_outcome_of_the_model(self, kind):
        for seed, drawn in enumerate(small_models(4)):
            for model in (drawn, paying_by_state(drawn, seed)):
                without = joint(kind, rho=0.3)
                number = numeric_worst_value(model, without)
                v = robust_value_iteration(model, number).v
                outcomes = model.outcomes(v)[~model.terminal]
                assert number.worst_value == pytest.approx(outcomes.min().item(), abs=1e-8)
                assert number.joint_with_reward
                assert (robust_values(model, number) <= robust_values(model, without) + 1e-8).all()
                assert numeric_worst_value(model, number) is number

    def test_sets_without_one_need_none(self):
        lowest = LowestShare(0.3, joint_with_reward=True)
        assert numeric_worst_value(machine(), lowest) is lowest


class TestFiniteSets:
    def test_rewards_follow_the_kernels(self):
        kernels = [machine(fails).kernel for fails in (0.1, 0.2, 0.05)]
        for rectangular in (False, True):
            # -0.8, -2.6 and 0.1 a step; the next state is worth the same whatever the kernel
            plain = FiniteSet(kernels, rectangular)
            assert robust_values(machine(), plain).flatten().tolist() == pytest.approx([-1.6] * 2)
            both = FiniteSet(kernels, rectangular, joint_with_reward=True)
            assert robust_values(machine(), both).flatten().tolist() == pytest.approx([-5.2] * 2)
            values = robust_individual_values(machine(), both)
            assert values[0].flatten().tolist() == pytest.approx([-5.2] * 2)
        assert repr(both) == "FiniteSet(3 kernels, rectangular=True, joint_with_reward=True)"


class TestFactorization:
    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_robust_individual_values_satisfy_drigm(self, uncertainty):
        for seed in range(3):
            drawn = random_dec_pomdp(4, (2, 3), seed, structure="additive")
            model = paying_by_state(drawn, seed)
            q = robust_values(model, uncertainty)
            assert additive_decomposition(q).residual.max() < 1e-9
            values = robust_individual_values(model, uncertainty)
            assert check_drigm(model, uncertainty, values).holds


class TestLearning:
    """Far from what the same set over the next state alone would give."""

    @pytest.mark.parametrize(
        "mixer, structure, uncertainty",
        [
            ("vdn", "additive", joint("tv", 0.2, -10.0)),
            ("vdn", "additive", LowestShare(0.3, joint_with_reward=True)),
            ("qmix", "monotone", LowestShare(0.3, joint_with_reward=True)),
            ("qtran", "general", LowestShare(0.3, joint_with_reward=True)),
        ],
        ids=str,
    )
    def test_learns_the_exact_values(self, mixer, structure, uncertainty):
        seed = {"vdn": 0, "qmix": 9, "qtran": 2}[mixer]  # of those that the mixer represents
        drawn = random_dec_pomdp(3, (2, 2), seed, gamma=0.8, structure=structure)
        model = paying_by_state(drawn)
        found = train_against_exact(model, uncertainty, mixer, steps=350)
        assert found.error < 0.03 and found.regret < 1e-9
        plain = found.uncertainty.replace(joint_with_reward=False)
        other = (robust_values(model, plain) - found.exact).abs().max() / found.value_range
        assert other > 0.1
