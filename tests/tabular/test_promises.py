"""What robust values promise (Theorem 3), and where the sets part."""

import pytest
import torch

from tests.tabular.zoo import ALL_KINDS, KINDS, ON_THE_SUPPORT, a_set, small_models
from torchrl_drigm.tabular import (
    DecPOMDP,
    greedy_joint_actions,
    optimal_values,
    policy_evaluation,
    random_kernel,
    robust_value_iteration,
    robust_values,
)
from torchrl_drigm.uncertainty import Contamination, CVaR, Nominal, TotalVariation, make_set


class TestTheorem3:
    @pytest.mark.parametrize("kind, worst_value", ALL_KINDS)
    def test_robust_value_never_exceeds_that_of_a_kernel_inside(self, kind, worst_value):
        uncertainty = a_set(kind, 0.3, worst_value)
        largest = 0.0
        for model in small_models(10):
            robust = robust_values(model, uncertainty)
            task = model if worst_value is None else model.with_fail_state(worst_value)
            for seed in range(10):
                kernel = random_kernel(model, uncertainty, seed)
                acting = ~model.terminal
                rows = kernel[: model.n_states][acting]
                assert uncertainty.contains(model.kernel[acting], rows).all()
                gap = optimal_values(task, kernel)[0][: model.n_states] - robust
                assert gap.min() >= -1e-9
                largest = max(largest, gap.max().item())
        if worst_value is not None and kind == "contamination":
            assert largest < 1e-9  # with a fail state contamination leaves no choice
        else:
            assert largest > 0.05  # drawn kernels are no worst ones

    @pytest.mark.parametrize("kind", (*KINDS, *ON_THE_SUPPORT))
    def test_policies_keep_the_promise(self, kind):
        # What is executed is the robust greedy policy; its value inside the set is no lower either.
        uncertainty = make_set(kind, rho=0.3)
        for model in small_models(5):
            found = robust_value_iteration(model, uncertainty)
            policy = greedy_joint_actions(found.q)
            for seed in range(5):
                kernel = random_kernel(model, uncertainty, seed)
                q, _ = policy_evaluation(model, policy, kernel)
                assert (q >= found.q - 1e-9).all()

    @pytest.mark.parametrize("kind", KINDS)
    def test_kernels_outside_can_break_it(self, kind):
        # "win" (1, of value 10) is reached with 0.6 by joint action (1, 1); see gamble_or_safe.
        model, uncertainty = gamble_or_safe(), make_set(kind, rho=0.3)
        robust = robust_values(model, uncertainty)[0, 0, 0]
        outside = model.kernel.clone()
        outside[0, 0, 0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
        assert not uncertainty.contains(model.kernel, outside).all()
        assert optimal_values(model, outside)[0][0, 0, 0] == 0.0
        assert robust > 1.0


def gamble_or_safe():
    """State 0: joint action (1, 1) gambles, (2, 2) is safe, disagreement ends the episode.

    gamma = 0.5. State 1 ("win") pays 10 and ends, state 2 ("medium") pays 5 and ends, state 3 is
    terminal: V(1) = 10, V(2) = 5, V(3) = 0. The gamble wins with 0.6, else ends; safe is sure.
    """
    kernel = torch.zeros(4, 2, 2, 4, dtype=torch.float64)
    kernel[1:, ..., 3] = 1.0
    kernel[0, 0, 1, 3] = kernel[0, 1, 0, 3] = 1.0
    kernel[0, 0, 0] = torch.tensor([0.0, 0.6, 0.0, 0.4], dtype=torch.float64)
    kernel[0, 1, 1] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    reward = torch.zeros(4, 2, 2, dtype=torch.float64)
    reward[1], reward[2] = 10.0, 5.0
    return DecPOMDP(kernel, reward, 0.5, torch.tensor([False, False, False, True]))


class TestSetsDiffer:
    # nominal        gamble 0.5 * 0.6 * 10               = 3.0    safe 0.5 * 5       = 2.5
    # contamination  gamble 0.5 * 0.7 * 0.6 * 10         = 2.1    safe 0.5 * 0.7 * 5 = 1.75
    # TV             gamble 0.5 * (0.6 - 0.3) * 10       = 1.5    safe 0.5 * 0.7 * 5 = 1.75
    # CVaR           gamble 0.5 * (0.6 - 0.3) / 0.7 * 10 = 2.14   safe 0.5 * 5       = 2.5
    # Contamination scales every action alike; TV takes its mass from the best outcomes first, and
    # so does CVaR, which leaves alone what is certain.
    @pytest.mark.parametrize("worst_value", [None, 0.0])
    @pytest.mark.parametrize(
        "set_cls, gamble, safe, best",
        [
            (Nominal, 3.0, 2.5, [0, 0]),
            (Contamination, 2.1, 1.75, [0, 0]),
            (TotalVariation, 1.5, 1.75, [1, 1]),
            (CVaR, 1.5 / 0.7, 2.5, [1, 1]),
        ],
    )
    def test_optimal_joint_actions(self, set_cls, gamble, safe, best, worst_value):
        fields = {"rho": 0.3, "worst_value": worst_value}
        fields = {name: fields[name] for name in set_cls.field_names() if name in fields}
        q = robust_values(gamble_or_safe(), set_cls(**fields))
        expected = [[gamble, 0.0], [0.0, safe]]
        torch.testing.assert_close(q[0], torch.tensor(expected, dtype=torch.float64))
        assert greedy_joint_actions(q)[0].tolist() == best

    @pytest.mark.parametrize("kind", KINDS)
    def test_one_operator_where_the_next_state_is_certain(self, kind):
        q = robust_values(gamble_or_safe(), make_set(kind, rho=0.3))
        assert q[0, 1, 1].item() == pytest.approx(1.75)

    @pytest.mark.parametrize("kind", ON_THE_SUPPORT)
    def test_nominal_where_the_next_state_is_certain(self, kind):
        q = robust_values(gamble_or_safe(), make_set(kind, rho=0.3))
        assert q[0, 1, 1].item() == pytest.approx(2.5)

    def test_worst_value_above_every_value_is_optimistic_under_contamination_only(self):
        # Rewards of -1 per step for ever, gamma = 0.5: V = -2. A fail state of 0 is the best place.
        model = DecPOMDP(torch.ones(1, 1, 1), -torch.ones(1, 1), gamma=0.5)
        values = {
            kind: robust_values(model, make_set(kind, rho=0.5, worst_value=0.0)).item()
            for kind in KINDS
        }
        # V = -1 + 0.5 * 0.5 V = -4/3; TV moves no mass.
        assert values == {"contamination": pytest.approx(-4 / 3), "tv": pytest.approx(-2.0)}
