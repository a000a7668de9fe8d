"""Rewards by next state: the expected one follows the kernel, a sample's the state it drew."""

import dataclasses

import pytest
import torch

from torchrl_drigm.tabular import (
    DecPOMDP,
    greedy_joint_actions,
    optimal_values,
    policy_evaluation,
    random_dec_pomdp,
    sample_transitions,
)


def parts(**changes):
    """Two states, the second terminal; leaving costs 9, staying earns 1; even odds of both."""
    kernel = torch.full((2, 1, 2, 2), 0.5, dtype=torch.float64)
    kernel[1] = torch.tensor([0.0, 1.0])
    reward = torch.tensor([1.0, -9.0]).expand(2, 1, 2, 2).clone()
    reward[1] = 0.0
    terminal = torch.tensor([False, True])
    return {"kernel": kernel, "reward": reward, "gamma": 0.5, "terminal": terminal, **changes}


def with_outcome_reward(model, seed):
    """A copy of a drawn model whose rewards depend on the next state as well."""
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(model.kernel.shape, generator=generator, dtype=torch.float64)
    return dataclasses.replace(model, reward=reward * (~model.terminal)[:, None, None, None])


def test_the_reward_is_the_expected_one():
    model = DecPOMDP(**parts())
    assert model.reward.tolist() == [[[-4.0, -4.0]], [[0.0, 0.0]]]
    assert (model.n_agents, model.n_actions) == (2, (1, 2))
    assert model.outcome_reward[0, 0, 0].tolist() == [1.0, -9.0]
    assert model.outcomes(torch.tensor([8.0, 0.0]))[0, 0, 0].tolist() == [5.0, -9.0]


def test_a_reward_that_does_not_depend_on_the_next_state_has_no_table():
    plain = random_dec_pomdp(3, (2, 2), seed=0)
    spread = plain.reward.unsqueeze(-1).expand(*plain.kernel.shape)
    model = dataclasses.replace(plain, reward=spread)
    assert model.outcome_reward is None and torch.equal(model.reward, plain.reward)


def test_another_kernel_pays_what_its_next_states_pay():
    model = DecPOMDP(**parts())
    kernel = model.kernel.clone()
    kernel[0] = torch.tensor([0.75, 0.25])
    other = model.with_kernel(kernel)
    assert other.reward[0].tolist() == [[-1.5, -1.5]]
    assert torch.equal(other.outcome_reward, model.outcome_reward)
    # V = -1.5 + 0.5 * 0.75 V
    policy = torch.zeros(2, 2, dtype=torch.int64)
    for q, v in (optimal_values(model, kernel), policy_evaluation(model, policy, kernel)):
        assert v.tolist() == pytest.approx([-2.4, 0.0])
        assert q[0].flatten().tolist() == pytest.approx([-2.4, -2.4])


def test_the_expected_reward_alone_can_be_kept():
    model = DecPOMDP(**parts())
    kernel = model.kernel.clone()
    kernel[0] = torch.tensor([0.75, 0.25])
    kept = dataclasses.replace(model, kernel=kernel)
    assert kept.outcome_reward is None and torch.equal(kept.reward, model.reward)


def test_scaled_rewards_scale_values():
    model = with_outcome_reward(random_dec_pomdp(4, (2, 3), seed=0), seed=1)
    scaled = dataclasses.replace(model, reward=model.given_reward / 4)
    torch.testing.assert_close(4 * optimal_values(scaled)[0], optimal_values(model)[0])


def test_values_are_those_of_the_states_that_remember_the_reward():
    """The same task with a state per transition, that pays what the transition paid, once."""
    model = with_outcome_reward(random_dec_pomdp(3, (2, 2), seed=3, n_terminal=0), seed=4)
    n, pay = model.n_states, model.outcome_reward
    policy = greedy_joint_actions(optimal_values(model)[0])
    at = (torch.arange(n), *policy.unbind(-1))
    chain, paid = model.kernel[at], pay[at]  # [S, S']
    # value of (s, s') on arrival: paid now, then on from s' with a discount of one more step
    v = torch.zeros(n, n, dtype=torch.float64)
    for _ in range(400):
        v = paid + model.gamma * (chain * v).sum(1).unsqueeze(0)
    torch.testing.assert_close((chain * v).sum(1), policy_evaluation(model, policy)[1])


def test_a_sample_pays_what_its_next_state_pays():
    model = with_outcome_reward(random_dec_pomdp(4, (2, 3), seed=0), seed=1)
    batch = sample_transitions(model, 200, torch.Generator().manual_seed(0))
    state, next_state = batch["state"].argmax(-1), batch["next", "state"].argmax(-1)
    index = (state, *batch["agents", "action"].unbind(-1), next_state)
    assert torch.equal(batch["next", "reward"][:, 0], model.outcome_reward[index].float())


class TestFailState:
    def test_failing_pays_the_expected_reward(self):
        closed = DecPOMDP(**parts()).with_fail_state(-6.0)
        assert closed.outcome_reward[0, 0, 0].tolist() == [1.0, -9.0, -4.0]
        assert closed.reward.squeeze(1)[:, 0].tolist() == [-4.0, 0.0, -3.0]

    def test_failing_is_worth_the_worst_value_where_rewards_are_the_adversarys(self):
        for reward in (parts()["reward"], torch.tensor([[[2.0, 2.0]], [[0.0, 0.0]]])):
            model = DecPOMDP(**parts(reward=reward))
            closed = model.with_fail_state(-6.0, joint_with_reward=True)
            v = optimal_values(closed)[1]
            torch.testing.assert_close(v[:2], optimal_values(model)[1])
            assert closed.outcomes(v)[0, ..., -1].flatten().tolist() == pytest.approx([-6.0] * 2)


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"kernel": torch.full((3, 1, 2, 3), 1 / 3)},
            r"= \[2, 1, 2, 2, 2\], got \[3, 1, 2, 3\]\. \(Rewards by .* not \[2, 1, 2, 2\]",
        ),
        ({"kernel": torch.full((2, 1, 2, 2), 0.6)}, "every row of kernel must be a distribution"),
        ({"reward": torch.full((2, 1, 2, 2), torch.nan)}, "reward must be finite, got 8 entries"),
        ({"reward": torch.ones(2, 1, 2, 2) * torch.eye(2)[:, None, None]}, "must pay 0"),
        ({"terminal": torch.tensor([True, True])}, "must pay 0 and lead to"),
    ],
    ids=["shape", "kernel", "finite", "terminal", "both"],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        DecPOMDP(**parts(**changes))


def test_a_kernel_of_another_shape():
    with pytest.raises(ValueError, match=r"kernel must have .* = \[2, 1, 2, 2\], got \[2, 2\]"):
        DecPOMDP(**parts()).with_kernel(torch.eye(2))
