"""What is a discount, a worst value, a bound of rewards."""

import pytest
import torch

from torchrl_drigm.objectives.value._checks import check_gamma, check_lmbda, resolve_worst_value

NO_NUMBERS = [float("nan"), float("inf"), -float("inf"), True, "1", None, torch.zeros(2)]
NO_NUMBERS += [torch.tensor(True), torch.tensor(float("nan"))]


@pytest.mark.parametrize("gamma", [-0.1, 1.1, *NO_NUMBERS], ids=str)
def test_gamma_is_a_discount_factor(gamma):
    for call in (check_gamma, lambda gamma: resolve_worst_value(gamma, None, -1.0)):
        with pytest.raises(ValueError, match=r"gamma must be a finite number in \[0, 1\], got"):
            call(gamma)


@pytest.mark.parametrize("lmbda", [-0.1, 1.1, *NO_NUMBERS], ids=str)
def test_lmbda_is_a_trajectory_discount(lmbda):
    with pytest.raises(ValueError, match=r"lmbda must be a finite number in \[0, 1\], got"):
        check_lmbda(lmbda)


def test_gamma_may_be_a_tensor():
    gamma = torch.tensor([0.5])
    assert check_gamma(gamma) is gamma
    assert resolve_worst_value(gamma, None, torch.tensor(-3)) == -6.0
    assert [check_gamma(bound) for bound in (0, 1)] == [0, 1]


@pytest.mark.parametrize("number", [n for n in NO_NUMBERS if n is not None], ids=str)
def test_worst_value_or_bound_of_the_estimators_is_a_finite_number(number):
    with pytest.raises(ValueError, match="worst_value must be a finite number"):
        resolve_worst_value(0.5, number, None)
    with pytest.raises(ValueError, match="needs a finite bound and gamma < 1"):
        resolve_worst_value(0.5, None, number)


def test_worst_value_of_the_estimators():
    assert resolve_worst_value(1.0, None, None) == 0.0
    assert resolve_worst_value(1.0, -3, None) == -3.0
    with pytest.raises(ValueError, match="gamma=1 pass worst_value"):
        resolve_worst_value(1.0, None, -3.0)
    with pytest.raises(ValueError, match="exclude each other"):
        resolve_worst_value(0.5, 0.0, 0.0)
