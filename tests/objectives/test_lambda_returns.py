"""λ-returns of sets with duals: one-step targets' fixed point, reached by what follows as well."""

import itertools
from dataclasses import dataclass

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn

from tests.objectives.conftest import ConstantDual, table_data, table_loss
from tests.sets import LowestShare
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda
from torchrl_drigm.tabular import greedy_joint_actions, random_dec_pomdp, robust_value_iteration
from torchrl_drigm.uncertainty import Contamination, TotalVariation, UncertaintySet, named_sets

GAMMA = 0.75  # no rounding in single precision, which estimators keep it in
SETS = [
    TotalVariation(0.3, -6.0),
    TotalVariation(0.3, -6.0, joint_with_reward=True),
    LowestShare(0.4),
    LowestShare(0.4, joint_with_reward=True),
]
OF_THE_PACKAGE = [
    cls(rho=0.2).replace(joint_with_reward=joint)
    for cls in named_sets().values()
    if cls.__module__.startswith("torchrl_drigm.") and cls.n_duals and cls is not TotalVariation
    for joint in (False, True)
]


@dataclass(frozen=True)
class Written(UncertaintySet):
    """Contamination that does not say that it is affine."""

    rho: float = 0.0
    worst_value: float | None = None

    def backup(self, next_value, dual_value=None):
        return (1 - self.rho) * next_value + self.rho * self.worst_value


@dataclass(frozen=True)
class Steep(UncertaintySet):
    """Of slope ``slope``."""

    steepness: float = 2.0

    def backup(self, next_value, dual_value=None):
        return self.steepness * next_value


def draw(*batch, seed=0, ends=0.3):
    """Rewards, ends of both kinds, next values and duals ``[*batch, 1]``."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(*batch, 1, generator=generator)
    terminated, done = uniform < ends / 2, uniform < ends
    reward, next_value, dual_value = torch.randn(3, *batch, 1, generator=generator)
    flags = {"reward": reward, "terminated": terminated, "done": done}
    return TensorDict({"next": flags}, batch), next_value, dual_value


def steps(rewards, terminated=(), truncated=()):
    """One sequence ``[1, T]`` with ends at these steps."""
    ends = [
        torch.tensor([t in where for t in range(len(rewards))]).view(1, -1, 1)
        for where in (terminated, truncated)
    ]
    return TensorDict(
        {
            "next": {
                "reward": torch.tensor(rewards).view(1, -1, 1),
                "terminated": ends[0],
                "done": ends[0] | ends[1],
            }
        },
        [1, len(rewards)],
    )


class Chain:
    """All sequences of a small model, in float64: any joint action, then the greedy ones."""

    def __init__(self, seed, length):
        self.model = random_dec_pomdp(3, (2, 2), seed, gamma=GAMMA)
        self.length = length

    def outcomes(self, uncertainty, v):
        """What the set is over, ``[S, A_1, A_2, S']``."""
        if uncertainty.joint_with_reward:
            return self.model.outcomes(v)
        return v.expand_as(self.model.kernel)

    def duals(self, uncertainty, v):
        """The best of all knots of the dual objective, ``[S, A_1, A_2]``."""
        outcomes = self.outcomes(uncertainty, v)
        knots = outcomes
        if uncertainty.worst_value is not None:
            knots = torch.cat([knots, torch.full_like(knots[..., :1], uncertainty.worst_value)], -1)
        found = [
            (self.model.kernel * self.backup(uncertainty, outcomes, knot.unsqueeze(-1))).sum(-1)
            for knot in knots.unbind(-1)
        ]
        best = torch.stack(found, -1).argmax(-1, keepdim=True)
        return knots.gather(-1, best).squeeze(-1)

    @staticmethod
    def backup(uncertainty, outcomes, eta):
        return uncertainty.backup(
            outcomes.unsqueeze(-1), eta.expand_as(outcomes).unsqueeze(-1)
        ).squeeze(-1)

    def expected_return(self, uncertainty, q, lmbda):
        """Mean of the first return, ``[S, A_1, A_2]``, over all sequences and their probabilities.

        Next values and duals are those of ``q``, whose greedy actions are taken.
        """
        model, v = self.model, q.flatten(1).amax(1)
        greedy, eta = greedy_joint_actions(q), self.duals(uncertainty, v)
        estimator = RobustTDLambda(uncertainty, gamma=GAMMA, lmbda=lmbda)
        found = torch.zeros_like(q)
        following = torch.tensor(list(itertools.product(range(3), repeat=self.length)))
        for first in itertools.product(range(3), range(2), range(2)):
            state = torch.cat([torch.full((len(following), 1), first[0]), following[:, :-1]], 1)
            action = greedy[state].clone()  # [n, T, 2]
            action[:, 0] = torch.tensor(first[1:])
            index = (state, *action.unbind(-1))
            probability = model.kernel[(*index, following)].prod(1)
            ends = model.terminal[following].unsqueeze(-1)
            data = TensorDict(
                {
                    "next": {
                        "reward": model.reward[index].unsqueeze(-1),
                        "terminated": ends,
                        "done": ends,
                    }
                },
                following.shape,
            )
            returns = estimator.value_estimate(
                data,
                next_value=v[following].unsqueeze(-1),
                dual_value=eta[index].unsqueeze(-1),
            )
            found[first] = (probability * returns[:, 0, 0]).sum()
        return found.masked_fill(model.expand(model.terminal), 0.0)


class TestFixedPoint:
    @pytest.mark.parametrize("lmbda", [0.0, 0.6, 1.0])
    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_it_is_that_of_one_step(self, uncertainty, lmbda):
        for seed in range(3):
            chain = Chain(seed, length=4)
            exact = robust_value_iteration(chain.model, uncertainty).q
            found = chain.expected_return(uncertainty, exact, lmbda)
            torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_it_is_reached_from_afar_and_no_slower_than_by_one_step(self, uncertainty):
        chain = Chain(0, length=3)
        exact = robust_value_iteration(chain.model, uncertainty).q
        errors = {}
        for lmbda in (0.0, 0.8):
            q = torch.full_like(exact, 5.0).masked_fill(
                chain.model.expand(chain.model.terminal), 0.0
            )
            for _ in range(12):
                before, q = q, chain.expected_return(uncertainty, q, lmbda)
                was, left = ((x - exact).abs().max() for x in (before, q))
                assert left <= GAMMA * was + 1e-9, (left, was)
            errors[lmbda] = (q - exact).abs().max().item()
        assert errors[0.8] <= errors[0.0]


class TestForm:
    @pytest.mark.parametrize("uncertainty", [*SETS, *OF_THE_PACKAGE], ids=str)
    def test_lambda_zero_is_the_one_step_target_to_the_last_bit(self, uncertainty):
        data, next_value, dual_value = draw(4, 9)
        dual_value = dual_value.expand(-1, -1, max(uncertainty.n_duals, 1))
        expected, found = (
            estimator.value_estimate(data, next_value=next_value, dual_value=dual_value)
            for estimator in (
                RobustTD0(uncertainty, gamma=0.9),
                RobustTDLambda(uncertainty, gamma=0.9, lmbda=0.0),
            )
        )
        assert torch.equal(found, expected)

    @pytest.mark.parametrize("joint", [False, True], ids=["next state", "joint"])
    @pytest.mark.parametrize("lmbda", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("rho", [0.0, 0.2, 1.0])
    def test_affine_sets_have_that_of_torchrl(self, rho, lmbda, joint):
        data, next_value, _ = draw(4, 9)
        fields = {"rho": rho, "worst_value": -3.0, "joint_with_reward": joint}
        found = [
            RobustTDLambda(
                uncertainty, gamma=0.9, lmbda=lmbda, vectorized=vectorized
            ).value_estimate(data, next_value=next_value)
            for uncertainty in (Written(**fields), Contamination(**fields))
            for vectorized in (False, True)
        ]
        torch.testing.assert_close(found[1:], found[:1] * 3, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("joint", [False, True], ids=["next state", "joint"])
    def test_what_is_certain_is_summed_up(self, joint):
        """λ = 1, the dual a little above the outcome: rewards, and the last next value."""
        uncertainty = LowestShare(0.4, joint_with_reward=joint)
        data = steps([1.0, 2.0, 3.0])
        data["next", "reward"] = data["next", "reward"].double()
        next_value = torch.tensor([7.0, -5.0, 4.0], dtype=torch.float64).view(1, 3, 1)
        estimator = RobustTDLambda(uncertainty, gamma=0.5, lmbda=1.0)
        outcome = estimator.outcome_value(data, next_value)
        found = estimator.value_estimate(data, next_value=next_value, dual_value=outcome + 1e-9)
        assert found.flatten().tolist() == pytest.approx([3.25, 4.5, 5.0], abs=1e-7)

    def test_above_the_dual_nothing_follows(self):
        """A best outcome of total variation has density 0: one step of it, then the cut."""
        tv = TotalVariation(0.5, worst_value=0.0)
        estimator = RobustTDLambda(tv, gamma=0.5, lmbda=1.0)
        found = estimator.value_estimate(
            steps([1.0, 1.0]),
            next_value=torch.full((1, 2, 1), 4.0),
            dual_value=torch.tensor([3.0, 5.0]).view(1, 2, 1),
        )
        # 1 + 0.5 (3 - 0.5 * 3), and 1 + 0.5 (4 - 0.5 * 5)
        assert found.flatten().tolist() == [1.75, 1.75]

    @pytest.mark.parametrize("steepness, counts", [(2.0, 1.0), (-1.0, 0.0), (0.25, 0.25)])
    def test_the_coefficient_is_the_slope_within_zero_and_one(self, steepness, counts):
        estimator = RobustTDLambda(Steep(steepness), gamma=0.5, lmbda=0.5)
        found = estimator.value_estimate(
            steps([1.0, 3.0]), next_value=torch.tensor([8.0, 2.0]).view(1, 2, 1)
        )
        last = 3.0 + 0.5 * steepness * 2.0
        first = 1.0 + 0.5 * (steepness * 8.0 + 0.5 * counts * (last - 8.0))
        assert found.flatten().tolist() == pytest.approx([first, last])

    def test_an_end_cuts_and_a_terminal_next_state_is_worth_zero(self):
        tv = TotalVariation(0.5, worst_value=-2.0)
        data = steps([1.0, 1.0, 1.0], terminated=[0], truncated=[1])
        found = RobustTDLambda(tv, gamma=0.5, lmbda=1.0).value_estimate(
            data,
            next_value=torch.tensor([torch.nan, 4.0, 4.0]).view(1, 3, 1),
            dual_value=torch.tensor([6.0, 6.0, 6.0]).view(1, 3, 1),
        )
        # b(0) = 0 - 0.5 * 8, b(4) = 4 - 0.5 * 8
        assert found.flatten().tolist() == [-1.0, 1.0, 1.0]

    def test_a_masked_step_cuts_whatever_it_holds(self):
        tv = TotalVariation(0.5, worst_value=-2.0)
        data = steps([1.0, torch.nan])
        data["collector", "mask"] = torch.tensor([[True, False]])
        found = RobustTDLambda(tv, gamma=0.5, lmbda=1.0).value_estimate(
            data,
            next_value=torch.tensor([4.0, torch.nan]).view(1, 2, 1),
            dual_value=torch.tensor([6.0, torch.nan]).view(1, 2, 1),
        )
        assert found.flatten()[0].item() == 1.0 and found.isfinite().all()

    def test_time_is_the_dimension_of_that_name(self):
        data, next_value, dual_value = draw(4, 9)
        estimator = RobustTDLambda(SETS[0], gamma=0.9, lmbda=0.7)
        expected = estimator.value_estimate(data, next_value=next_value, dual_value=dual_value)
        turned = data.transpose(0, 1).contiguous()
        turned.names = ["time", None]
        found = estimator.value_estimate(
            turned, next_value=next_value.transpose(0, 1), dual_value=dual_value.transpose(0, 1)
        )
        assert torch.equal(found.transpose(0, 1), expected)

    def test_no_gradient_goes_through_the_coefficient(self):
        _, next_value, dual_value = draw(2, 5)
        next_value.requires_grad_(), dual_value.requires_grad_()
        assert not SETS[2].slope(next_value, dual_value).requires_grad

    def test_compiled_and_mapped_over(self):
        data, next_value, dual_value = draw(2, 3)
        estimator = RobustTDLambda(SETS[2], gamma=0.9, lmbda=0.7)

        def target(reward, next_value, dual_value):
            td = data.clone(False)
            td["next"] = data["next"].clone(False).set("reward", reward)
            return estimator.value_estimate(td, next_value=next_value, dual_value=dual_value)

        inputs = (data["next", "reward"], next_value, dual_value)
        expected = target(*inputs)
        compiled = torch.compile(target, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(*inputs), expected)
        with torch.inference_mode():
            torch.testing.assert_close(target(*inputs), expected)
        mapped = torch.vmap(target)(*(torch.stack([x, 2 * x]) for x in inputs))
        torch.testing.assert_close(mapped[0], expected)
        torch.testing.assert_close(mapped[1], target(*(2 * x for x in inputs)))

    @pytest.mark.parametrize("uncertainty", [Contamination(0.3, -6.0), *SETS], ids=repr)
    def test_a_terminal_value_counts_nowhere_whatever_it_is(self, uncertainty):
        """Minus infinity is the best of no legal action: times 0 it would be NaN."""
        data, next_value, dual_value = draw(2, 5)
        ends = torch.zeros_like(data["next", "done"])
        ends[0, 2] = True
        data["next", "done"], data["next", "terminated"] = ends, ends
        estimator = RobustTDLambda(uncertainty, gamma=0.9, lmbda=0.7)
        dual_value = dual_value[..., :1].expand(2, 5, uncertainty.n_duals)
        found = [
            estimator.value_estimate(
                data, next_value=next_value.masked_fill(ends, last), dual_value=dual_value
            )
            for last in (-torch.inf, 0.0)
        ]
        assert torch.equal(*found)


class TestInUse:
    def test_a_loss_gives_it_the_duals_of_one_step(self):
        """b(10) = 10 - 0.2 * 12 = 7.6: G_2 = 4.8, G_1 = 1 + .5 (7.6 + .5 (4.8 - 10)) = 3.5."""
        loss = table_loss(dual=ConstantDual(12.0))
        loss.make_value_estimator("tv_tdlambda", gamma=0.5, lmbda=0.5, rho=0.2, worst_value=0.0)
        data = table_data((False, False), (False, False)).unsqueeze(0)
        out = loss(data)
        errors = torch.tensor([[(3 - 3.5) ** 2, (3 - 4.8) ** 2]])
        torch.testing.assert_close(data["td_error"].squeeze(-1), errors)
        torch.testing.assert_close(out["loss_dual"], torch.tensor(-7.6))
        by_set = table_loss(dual=ConstantDual(12.0))
        by_set.make_value_estimator(TotalVariation(0.2, 0.0), gamma=0.5, lmbda=0.5)
        assert type(by_set.value_estimator) is RobustTDLambda
        assert torch.equal(by_set(data)["loss"], out["loss"])

    def test_alone_it_asks_a_dual_network_of_its_own(self):
        data, next_value, dual_value = draw(2, 5)
        data["outcome"] = dual_value
        network = TensorDictModule(nn.Identity(), ["outcome"], ["dual_value"])
        tv = TotalVariation(0.3, -6.0)
        found = RobustTDLambda(tv, gamma=0.9, lmbda=0.5, dual_network=network).value_estimate(
            data, next_value=next_value
        )
        alone = RobustTDLambda(tv, gamma=0.9, lmbda=0.5)
        assert torch.equal(
            found, alone.value_estimate(data, next_value=next_value, dual_value=dual_value)
        )
        with pytest.raises(ValueError, match=r"RobustTDLambda over Total.* needs a dual value"):
            alone.value_estimate(data, next_value=next_value)
        with pytest.raises(ValueError, match="dual_value must have the shape"):
            alone.value_estimate(data, next_value=next_value, dual_value=dual_value[:1])
