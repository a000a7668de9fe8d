"""Names of before still work, and say what to write."""

import pytest
import torch

import torchrl_drigm.objectives.value as value
import torchrl_drigm.tabular as tabular
from tests.objectives.conftest import make_data, make_dual, make_loss, table_data, table_loss
from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation


@pytest.mark.parametrize(
    "name, alias",
    [
        ("ContaminationTD0Estimator", "contamination_td0"),
        ("ContaminationTDLambdaEstimator", "contamination_tdlambda"),
        ("TVTD0Estimator", "tv_td0"),
    ],
)
def test_estimators(name, alias):
    with pytest.warns(DeprecationWarning, match=f"{name} is deprecated .* use Robust"):
        cls = getattr(value, name)
    data, hyper = make_data(4, 5), {"gamma": 0.9, "rho": 0.2}
    if alias.endswith("lambda"):
        hyper["lmbda"] = 0.8
    old, new = (make_loss(dual_network=make_dual()) for _ in range(2))
    old.make_value_estimator(cls, **hyper)
    new.make_value_estimator(alias, **hyper)
    assert isinstance(new.value_estimator, cls)
    assert torch.equal(old(data.clone())["loss"], new(data.clone())["loss"])
    bound = cls(**hyper, reward_lower_bound=-1.0, value_network=None)
    assert bound.worst_value == pytest.approx(-10.0)


def test_an_estimator_that_is_its_own_set():
    with pytest.warns(DeprecationWarning, match=r"RobustTD0Estimator .* use a subclass of .*Uncer"):
        base = value.RobustTD0Estimator

    class Pessimist(base):
        has_dual = True

        def robust_value(self, next_value, dual_value=None):
            return torch.full_like(next_value, self.worst_value)

        def dual_objective(self, next_value, dual_value):
            return dual_value

    loss = table_loss(dual=make_dual(), log_values=True)
    with pytest.raises(ValueError, match="needs a dual network"):
        table_loss().make_value_estimator(Pessimist, gamma=0.5)
    loss.make_value_estimator(Pessimist, gamma=0.5, worst_value=-4.0)
    assert loss.value_estimator.n_duals == 1 and "loss_dual" in loss.out_keys
    assert (loss.value_estimator.rho, loss.value_estimator.worst_value) == (0.0, -4.0)
    with pytest.raises(NotImplementedError):
        base(gamma=0.5).value_estimate(table_data(), next_value=torch.zeros(1, 1))


def test_sets_by_kind():
    with pytest.warns(DeprecationWarning, match=r"tabular.UncertaintySet.* use a set of"):
        make = tabular.UncertaintySet
    assert make("tv", 0.2, -1.0) == TotalVariation(0.2, -1.0)
    assert make("contamination", rho=0.2) == Contamination(0.2)
    with pytest.warns(DeprecationWarning, match=r"TotalVariation.kind is deprecated .* use name"):
        assert make("tv").kind == "tv"
    assert make("none") == make("none", 0.0, -1.0) == Nominal()
    with pytest.raises(ValueError, match="has no field 'rho'"):
        make("none", 0.1)


@pytest.mark.parametrize("module", [value, tabular])
def test_names_that_there_never_were(module):
    with pytest.raises(AttributeError, match="has no attribute 'KLEstimator'"):
        _ = module.KLEstimator
