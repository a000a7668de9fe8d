"""What every set knows about itself, and what a set of one's own gets for nothing."""

from dataclasses import FrozenInstanceError, dataclass

import pytest
import torch

from tests.sets import LowestShare
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda
from torchrl_drigm.tabular import FiniteSet, robust_value_iteration
from torchrl_drigm.tabular import random_dec_pomdp as draw_model
from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    Nominal,
    TotalVariation,
    UncertaintySet,
    check_radius,
    named_sets,
)


@dataclass(frozen=True)
class Shifted(UncertaintySet):
    """A set of one's own: every value is less by ``cost``, a field in units of return."""

    cost: float
    rho: float = 0.0

    check_size = staticmethod(check_radius)

    def affine(self):
        return 1.0, -self.cost


@dataclass(frozen=True)
class Bare(UncertaintySet):
    """A set that gives nothing."""


class OwnConstructor(UncertaintySet):
    """A set that is no dataclass."""

    def __init__(self, cost, joint_with_reward=False):
        super().__init__(joint_with_reward=joint_with_reward)
        self.cost = cost


class TestFields:
    def test_sets_are_values(self):
        tv = TotalVariation(0.2, -1)
        assert tv == TotalVariation(rho=0.2, worst_value=-1.0) != Contamination(0.2, -1.0)
        assert len({tv, TotalVariation(0.2, -1.0)}) == 1
        assert eval(repr(tv)) == tv
        with pytest.raises(FrozenInstanceError):
            tv.rho = 0.3

    def test_names_and_labels(self):
        ours = (Nominal, Contamination, TotalVariation, CVaR, KL, ChiSquared)
        assert {cls.name: cls.label for cls in ours} == {
            **{"none": "nominal", "contamination": "contamination", "tv": "TV"},
            **{"cvar": "CVaR", "kl": "KL", "chi2": "χ²"},
        }
        assert {cls.name for cls in ours} <= named_sets().keys()
        assert [cls.n_duals for cls in ours] == [0, 0, 1, 1, 2, 2]
        assert Nominal.is_affine and Contamination.is_affine and not TotalVariation.is_affine
        assert Shifted.is_affine and not Bare.is_affine

    def test_replace(self):
        assert TotalVariation(0.2, -1.0).replace(rho=0.3) == TotalVariation(0.3, -1.0)
        with pytest.raises(ValueError, match=r"TotalVariation \('tv'\) has no field 'radius'"):
            TotalVariation(0.2).replace(radius=0.3)
        with pytest.raises(ValueError, match=r"finite number in \[0, 1\], got 2"):
            TotalVariation(0.2).replace(rho=2)

    def test_units_of_return(self):
        assert TotalVariation(0.2, -6.0).in_units_of(2.0) == TotalVariation(0.2, -3.0)
        assert TotalVariation(0.2).in_units_of(2.0) == TotalVariation(0.2)

    def test_fields_that_are_missing(self):
        with pytest.raises(ValueError, match=r"Shifted needs cost, got \{'rho': 1\}"):
            Shifted.from_fields(rho=1)

    def test_every_set_may_be_joint_with_the_reward(self):
        for a_set in (Nominal(), Contamination(0.2, -1.0), TotalVariation(0.2), Shifted(1.0)):
            joint = a_set.replace(joint_with_reward=True)
            assert not a_set.joint_with_reward and joint.joint_with_reward
            assert joint != a_set and joint.replace(joint_with_reward=False) == a_set
            assert joint == type(a_set).from_fields(
                **{name: getattr(joint, name) for name in joint.field_names()}
            )
            assert type(a_set).field_names()[-1] == "joint_with_reward"
        assert TotalVariation(0.2, -6.0, joint_with_reward=True).in_units_of(2.0) == TotalVariation(
            0.2, -3.0, joint_with_reward=True
        )

    def test_joint_sets_are_asked_for_by_keyword(self):
        with pytest.raises(TypeError, match="positional arguments"):
            TotalVariation(0.2, -1.0, True)

    def test_a_flag_is_shown_where_it_is_set(self):
        assert repr(TotalVariation(0.2, -1.0)) == "TotalVariation(rho=0.2, worst_value=-1.0)"
        joint = TotalVariation(0.2, -1.0, joint_with_reward=True)
        told = "TotalVariation(rho=0.2, worst_value=-1.0, joint_with_reward=True)"
        assert repr(joint) == told and eval(told) == joint
        assert repr(Shifted(1.0)) == "Shifted(cost=1.0, rho=0.0)" and repr(Nominal()) == "Nominal()"

    @pytest.mark.parametrize("flag", [1, None, "true", torch.tensor(True)], ids=str)
    @pytest.mark.parametrize("a_set", [Nominal, TotalVariation])
    def test_what_is_no_flag(self, a_set, flag):
        with pytest.raises(ValueError, match=r"joint_with_reward must be True or False, got "):
            a_set(joint_with_reward=flag)

    def test_a_set_with_a_constructor_of_its_own(self):
        first, second = OwnConstructor(1.0), OwnConstructor(2.0, joint_with_reward=True)
        assert (first.joint_with_reward, second.joint_with_reward) == (False, True)
        assert first != OwnConstructor(1.0) and OwnConstructor.field_names() == ()
        with pytest.raises(ValueError, match="no field 'joint_with_reward': it has no fields"):
            OwnConstructor.from_fields(joint_with_reward=True)

        class Narrow(FiniteSet):
            pass

        assert repr(Narrow([torch.ones(1, 1, 1)])) == "FiniteSet(1 kernels, rectangular=False)"

    @pytest.mark.parametrize("a_set", [Contamination, TotalVariation])
    @pytest.mark.parametrize(
        "arguments, message",
        [
            ((1.5,), r"finite number in \[0, 1\], got 1\.5"),
            ((torch.nan,), r"finite number in \[0, 1\], got nan"),
            ((True,), r"finite number in \[0, 1\], got True"),
            (("0.1",), r"finite number in \[0, 1\], got 0\.1"),
            ((0.1, -torch.inf), "worst_value must be a finite number, got -inf"),
            ((0.1, torch.nan), "worst_value must be a finite number, got nan"),
            ((0.1, True), "worst_value must be a finite number, got True"),
            ((0.1, torch.zeros(2)), "worst_value must be a finite number, got tensor"),
        ],
        ids=str,
    )
    def test_numbers_that_are_none(self, a_set, arguments, message):
        with pytest.raises(ValueError, match=message):
            a_set(*arguments)

    def test_a_radius_may_be_large(self):
        assert Shifted(1.0, rho=7).rho == 7.0
        for rho in (-0.1, torch.inf, torch.nan, None, "1"):
            with pytest.raises(ValueError, match=r"rho must be a finite number, 0 or larger, got"):
                Shifted(1.0, rho=rho)


class TestLearning:
    def test_the_worst_state_of_a_model_is_no_target(self):
        one = torch.zeros(1, 1)
        for call in (
            lambda: Contamination(0.1).backup(one),
            lambda: TotalVariation(0.1).backup(one, one),
            lambda: Contamination(0.1).affine(),
            lambda: RobustTD0(TotalVariation(0.1), gamma=0.9),
        ):
            with pytest.raises(
                ValueError, match=r"Give worst_value a number .* for an exact model"
            ):
                call()

    @pytest.mark.parametrize("uncertainty", [Nominal(), Contamination(0.3, -2.0)], ids=str)
    def test_backup_is_the_affine_one(self, uncertainty):
        values = torch.randn(5, 1)
        scale, shift = uncertainty.affine()
        torch.testing.assert_close(uncertainty.backup(values), scale * values + shift)
        objective = uncertainty.dual_objective(values, None)
        torch.testing.assert_close(objective, -uncertainty.backup(values))

    def test_dual_numbers_one_by_one(self):
        class Two(Bare):
            n_duals = 2

        first, second = Two().duals(torch.zeros(3, 1), torch.arange(6.0).view(3, 2))
        assert first.tolist() == [[0], [2], [4]] and second.tolist() == [[1], [3], [5]]
        for dual_value in (torch.zeros(3, 1), torch.zeros(2), None):
            message = r"with 2 numbers for its last dimension, \(3, 2\), got"
            with pytest.raises(ValueError, match=message):
                Two().duals(torch.zeros(3, 1), dual_value)
        with pytest.raises(ValueError, match=r"shape of next_value, \(3, 1\), got none"):
            TotalVariation(0.1, 0.0).backup(torch.zeros(3, 1))

    def test_lambda_returns_are_of_every_set_that_can_be_learned(self):
        for uncertainty in (TotalVariation(0.1, 0.0), Shifted(0.5)):
            estimator = RobustTDLambda(uncertainty, gamma=0.9, lmbda=0.5)
            assert estimator.uncertainty == uncertainty
        with pytest.raises(ValueError, match="has no value estimator"):
            RobustTDLambda(Bare(), gamma=0.9, lmbda=0.5)

    def test_what_is_not_affine_says_so(self):
        with pytest.raises(ValueError, match=r"TotalVariation\(.* is not affine .* by lmbda"):
            TotalVariation(0.1, 0.0).affine()

    def test_the_slope_is_the_derivative_of_the_backup(self):
        values, eta = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])
        assert Contamination(0.25, -8.0).slope(values).tolist() == [[0.75], [0.75]]
        assert TotalVariation(0.25, -8.0).slope(values, eta).tolist() == [[1.0], [0.0]]
        assert LowestShare(0.5).slope(values, eta).tolist() == [[2.0], [0.0]]

    def test_what_is_no_set(self):
        with pytest.raises(TypeError, match=r"must be an UncertaintySet, got 'tv'\. Make one"):
            RobustTD0("tv", gamma=0.9)
        for name in ("rho", "worst_value", "reward_lower_bound", "joint_with_reward"):
            with pytest.raises(TypeError, match=f"{name} belongs to the uncertainty set"):
                RobustTD0(Nominal(), gamma=0.9, **{name: 0.1})

    def test_a_backup_of_another_shape(self):
        class Sum(Bare):
            def backup(self, next_value, dual_value=None):
                return next_value.sum()

        with pytest.raises(ValueError, match=r"must have the shape of next_value, .* got \[\]"):
            RobustTD0(Sum(), gamma=0.9)

    @pytest.mark.parametrize(
        "uncertainty", [Bare(), FiniteSet([torch.ones(1, 1, 1)])], ids=["bare", "finite"]
    )
    def test_sets_for_exact_models_only(self, uncertainty):
        with pytest.raises(ValueError, match="has no value estimator"):
            RobustTD0(uncertainty, gamma=0.9)

    def test_the_set_of_an_estimator_can_be_changed(self):
        estimator = RobustTD0(Contamination(0.1, -1.0), gamma=0.9)
        estimator.rho, estimator.worst_value = 0.2, -2.0
        assert estimator.uncertainty == Contamination(0.2, -2.0)
        assert (estimator.rho, estimator.worst_value) == (0.2, -2.0)
        with pytest.raises(ValueError, match=r"Nominal \('none'\) has no field 'rho'"):
            RobustTD0(Nominal(), gamma=0.9).rho = 0.1

    @pytest.mark.parametrize("gamma", [0.5, 1.0])
    def test_many_steps_of_a_set_that_only_shifts(self, gamma):
        """The geometric series where there is nothing to discount."""
        from tensordict import TensorDict

        flags = torch.zeros(1, 1, dtype=torch.bool)
        data = TensorDict(
            {
                "steps_to_next_obs": torch.tensor([[3]]),
                "next": {"reward": torch.zeros(1, 1), "done": flags, "terminated": flags},
            },
            [1],
        )
        estimator = RobustTD0(Shifted(2.0), gamma=gamma)
        target = estimator.value_estimate(data, next_value=torch.full((1, 1), 8.0))
        expected = 8.0
        for _ in range(3):
            expected = gamma * (expected - 2.0)
        assert target.item() == pytest.approx(expected)


class TestExactModels:
    def test_what_a_set_does_not_say(self):
        probs, values = torch.tensor([0.5, 0.5]), torch.zeros(2)
        with pytest.raises(NotImplementedError, match=r"Bare .* Give it worst_kernel"):
            robust_value_iteration(draw_model(3, (2, 2), seed=0), Bare())
        with pytest.raises(NotImplementedError, match=r"Bare .* Give it worst_kernel"):
            Bare().expectation(probs, values)
        with pytest.raises(NotImplementedError, match=r"Bare .* Give it contains"):
            Bare().sample(probs)
