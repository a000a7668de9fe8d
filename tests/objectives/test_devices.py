"""On a GPU every loss is that of the CPU, masked steps included."""

from itertools import product

import pytest
import torch

from tests.objectives.zoo import (
    ALGORITHMS,
    COLLECTOR,
    ESTIMATORS,
    NETWORKS,
    OTHER_SETS,
    VALID,
    data_for,
    fill,
    make_data,
    make_loss,
    make_reward_loss,
    outcome,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def assert_same(loss, data, masked):
    expected = outcome(loss, data)
    loss.to("cuda")
    for batch in (data, masked):
        found = outcome(loss, batch.to("cuda"))
        assert all(value.device.type == "cuda" for value in found.values())
        found = {key: value.cpu() for key, value in found.items()}
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "algorithm, estimator, network",
    [*product(ALGORITHMS, ESTIMATORS, NETWORKS), *product(ALGORITHMS, OTHER_SETS, ["mlp"])],
)
def test_same_losses(algorithm, estimator, network):
    loss, data = make_loss(algorithm, network, estimator), data_for(network)
    assert_same(loss, data.set(COLLECTOR, VALID), fill(data_for(network), VALID, "nan"))


def test_same_group_rewards():
    assert_same(
        make_reward_loss(), make_data().set(COLLECTOR, VALID), fill(make_data(), VALID, "nan")
    )
