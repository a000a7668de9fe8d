"""The model: what it accepts, what it refuses, its fail state, and fixed-kernel values."""

import pytest
import torch

from torchrl_drigm.tabular import (
    DecPOMDP,
    additive_decomposition,
    anchored_decomposition,
    greedy_joint_actions,
    optimal_values,
    policy_evaluation,
    random_dec_pomdp,
    robust_individual_values,
    robust_values,
)
from torchrl_drigm.uncertainty import TotalVariation


def parts(**changes):
    """Arguments of a model of two states (the second terminal), two agents, 2 and 3 actions."""
    kernel = torch.full((2, 2, 3, 2), 0.5, dtype=torch.float64)
    kernel[1] = torch.tensor([0.0, 1.0])
    reward = torch.ones(2, 2, 3)
    reward[1] = 0.0
    terminal = torch.tensor([False, True])
    return {"kernel": kernel, "reward": reward, "gamma": 0.9, "terminal": terminal, **changes}


class TestModel:
    def test_sizes_and_defaults(self):
        model = DecPOMDP(**parts())
        assert (model.n_states, model.n_agents, model.n_actions) == (2, 2, (2, 3))
        assert model.reward.dtype == model.kernel.dtype == torch.float64
        assert model.observation.tolist() == [[0, 0], [1, 1]]
        assert not DecPOMDP(**parts(terminal=None)).terminal.any()

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"reward": torch.zeros(2)}, r"reward must have the shape .* got \[2\]"),
            ({"reward": torch.zeros(2, 0)}, r"at least one state, one agent .* got \[2, 0\]"),
            ({"kernel": torch.zeros(2, 2, 2)}, r"\[2, 2, 3, 2\], got \[2, 2, 2\]"),
            ({"kernel": torch.full((2, 2, 3, 2), 0.6)}, "must be a distribution over next states"),
            ({"kernel": torch.full((2, 2, 3, 2), torch.nan)}, "must be a distribution"),
            ({"kernel": torch.tensor([1.5, -0.5]).expand(2, 2, 3, 2)}, r"smallest entry -0\.5"),
            ({"gamma": 1.0}, r"gamma must be in \(0, 1\), got 1\.0"),
            ({"gamma": 0.0}, r"gamma must be in \(0, 1\), got 0\.0"),
            ({"gamma": torch.nan}, r"gamma must be in \(0, 1\), got nan"),
            ({"gamma": torch.tensor([0.5, 0.5])}, r"gamma must be in \(0, 1\), got tensor"),
            ({"reward": torch.full((2, 2, 3), torch.inf)}, "must be finite, got 12 entries"),
            ({"terminal": torch.tensor([0, 1])}, r"bool mask \[S\] = \[2\], got torch.int64 \[2\]"),
            ({"terminal": torch.tensor([True])}, r"bool mask .* got torch.bool \[1\]"),
            ({"terminal": torch.tensor([True, True])}, "a terminal state must pay 0 and lead to"),
            ({"reward": torch.ones(2, 2, 3)}, r"terminal states \[1\] one does not"),
            ({"observation": torch.zeros(2, 2)}, r"int64 \[S, N\] = \[2, 2\], got torch.float32"),
            ({"observation": torch.zeros(2, 3).long()}, r"= \[2, 2\], got torch.int64 \[2, 3\]"),
            ({"observation": torch.tensor([[0, 0], [0, -1]])}, "must count from 0"),
            ({"observation": torch.zeros(2, 2).long()}, "two states share one joint observation"),
        ],
    )
    def test_refuses(self, changes, message):
        with pytest.raises(ValueError, match=message):
            DecPOMDP(**parts(**changes))

    def test_with_kernel_keeps_terminal_states(self):
        model = DecPOMDP(**parts())
        with pytest.raises(ValueError, match="a terminal state must pay 0"):
            model.with_kernel(torch.full((2, 2, 3, 2), 0.5))

    def test_lookup_of_what_agents_see(self):
        # Agent 1 sees the row, agent 2 the column of a 2 x 2 grid.
        observation = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        kernel = torch.eye(4).reshape(4, 1, 1, 4).expand(4, 2, 2, 4)
        model = DecPOMDP(kernel, torch.zeros(4, 2, 2), 0.5, observation=observation)
        rows, columns = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[5.0, 6], [7, 8]])
        first, second = model.lookup([rows, columns])
        assert first.tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
        assert second.tolist() == [[5, 6], [7, 8], [5, 6], [7, 8]]
        with pytest.raises(ValueError, match=r"one table \[O_i, A_i\] per agent, \[\[2, 2\]"):
            model.lookup([rows])

    @pytest.mark.parametrize("worst_value", [0.0, -4.0])
    def test_fail_state_has_its_value(self, worst_value):
        model = random_dec_pomdp(3, (2, 2), seed=0)
        closed = model.with_fail_state(worst_value)
        q, v = optimal_values(closed)
        torch.testing.assert_close(q[:3], optimal_values(model)[0])
        torch.testing.assert_close(q[3], torch.full((2, 2), worst_value, dtype=torch.float64))
        assert closed.terminal[3].item() == (worst_value == 0.0)
        assert closed.observation[3].tolist() == [3, 3]
        assert v.shape == (4,)

    @pytest.mark.parametrize("worst_value", [torch.inf, torch.nan, True])
    def test_fail_state_must_be_finite(self, worst_value):
        with pytest.raises(ValueError, match="worst_value must be a finite number, got"):
            DecPOMDP(**parts()).with_fail_state(worst_value)


class TestFixedKernel:
    def test_by_hand(self):
        # Action 0 pays 1 and stays or ends evenly: V = 1 + 0.9 * 0.5 V = 20/11.
        model = DecPOMDP(**parts())
        q, v = policy_evaluation(model, torch.zeros(2, 2, dtype=torch.int64))
        assert v.tolist() == pytest.approx([20 / 11, 0.0])
        torch.testing.assert_close(q[0], torch.full((2, 3), 20 / 11, dtype=torch.float64))

    def test_stochastic_policy_is_the_mean_over_its_actions(self):
        model = random_dec_pomdp(4, (2, 3), seed=5)
        weights = torch.rand(4, 6, dtype=torch.float64).softmax(-1).reshape(4, 2, 3)
        q, v = policy_evaluation(model, weights)
        torch.testing.assert_close((weights * q).sum((1, 2)), v)
        uniform = torch.full((4, 2, 3), 1 / 6)
        assert policy_evaluation(model, uniform)[1].dtype == torch.float64

    def test_optimal_values_satisfy_their_equation_and_beat_every_policy(self):
        model = random_dec_pomdp(3, (2, 2), seed=2, gamma=0.95)
        kernel = random_dec_pomdp(3, (2, 2), seed=3).kernel
        q, v = optimal_values(model, kernel)
        torch.testing.assert_close(q, model.reward + 0.95 * kernel @ v)
        actions = torch.cartesian_prod(torch.arange(2), torch.arange(2))
        for first in actions:
            for second in actions:
                policy = torch.stack([first, second, first])
                assert (policy_evaluation(model, policy, kernel)[1] <= v + 1e-12).all()
        best = policy_evaluation(model, greedy_joint_actions(q), kernel)[1]
        torch.testing.assert_close(best, v)

    def test_three_agents(self):
        model = random_dec_pomdp(3, (2, 3, 2), seed=2)
        q, v = optimal_values(model)
        assert q.shape == (3, 2, 3, 2)
        policy = greedy_joint_actions(q)
        torch.testing.assert_close(policy_evaluation(model, policy)[1], v)

    @pytest.mark.parametrize(
        "policy, message",
        [
            (torch.zeros(2, 1).long(), r"action indices \[S, N\] = \[2, 2\].* got .* \[2, 1\]"),
            (torch.tensor([[0, 3], [0, 0]]), r"each below \[2, 3\]"),
            (torch.tensor([[0, 0], [-1, 0]]), r"each below \[2, 3\]"),
            (torch.zeros(2, 2, dtype=torch.bool), r"got torch.bool \[2, 2\]"),
            (torch.ones(2, 2, 3), "that sum to 1 in every state"),
            (torch.full((2, 2, 3), torch.nan), "that sum to 1 in every state"),
            (
                torch.tensor([1.5, -0.5, 0, 0, 0, 0]).reshape(1, 2, 3).expand(2, 2, 3),
                r"none negative, .* smallest -0\.5",
            ),
            (torch.ones(2, 6) / 6, r"= \[2, 2, 3\], .* got \[2, 6\]"),
        ],
    )
    def test_refuses_a_policy(self, policy, message):
        with pytest.raises(ValueError, match=message):
            policy_evaluation(DecPOMDP(**parts()), policy)

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
    def test_actions_are_integers_of_any_type(self, dtype):
        """Bytes would be a mask if they were an index as they are."""
        model = random_dec_pomdp(3, (2, 2), seed=0)
        policy = greedy_joint_actions(optimal_values(model)[0])
        expected = policy_evaluation(model, policy)
        torch.testing.assert_close(policy_evaluation(model, policy.to(dtype)), expected)
        q = optimal_values(model)[0]
        torch.testing.assert_close(
            anchored_decomposition(q, policy.to(dtype)), anchored_decomposition(q, policy)
        )
        tv = TotalVariation(rho=0.1)
        robust = greedy_joint_actions(robust_values(model, tv))
        torch.testing.assert_close(
            robust_individual_values(model, tv, joint_action=robust.to(dtype)),
            robust_individual_values(model, tv, joint_action=robust),
        )

    def test_integer_rewards(self):
        q = torch.tensor([[[7, 4], [10, 7]]])
        received, expected = additive_decomposition(q), additive_decomposition(q.double())
        torch.testing.assert_close(received, expected)

    def test_refuses_a_kernel(self):
        for function in (optimal_values, lambda m, k: policy_evaluation(m, m.observation, k)):
            with pytest.raises(ValueError, match=r"got \[2, 2\]"):
                function(DecPOMDP(**parts()), torch.eye(2))
