"""What a process is told before its first run."""

import pytest
import torch
from torch import nn

from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import prepare
from torchrl_drigm.trainers.optimizers import RMSprop

TINY = torch.finfo(torch.float32).tiny


@pytest.fixture
def threads_and_seed():
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as it is in all tests


def steps(name, n_steps):
    """Weights and states of an optimizer; every second weight has one gradient, at first."""
    weights = nn.Parameter(torch.linspace(-1.0, 1.0, 64))
    optimizer = {
        "adam": lambda: torch.optim.Adam([weights], 1e-3, fused=True),
        "rmsprop": lambda: RMSprop([weights], 1e-3, fused=True),
    }[name]()
    for step in range(n_steps):
        weights.grad = torch.cos(torch.arange(64.0) + step) * 1e-2
        if step:
            weights.grad[::2] = 0.0
        optimizer.step()
    states = optimizer.state[weights]
    return weights.detach(), states["exp_avg" if name == "adam" else "sum"]


@pytest.mark.parametrize(("name", "n_steps"), [("adam", 1200), ("rmsprop", 9000)])
def test_states_of_weights_without_gradients_end_at_0(name, n_steps, threads_and_seed):
    """PyTorch by itself keeps them below the normal range, where they never get to 0."""
    if not torch.set_flush_denormal(False) or not torch.set_flush_denormal(True):
        pytest.skip("needs a processor that can take numbers below the normal range for 0")
    torch.set_flush_denormal(False)
    kept_weights, kept = steps(name, n_steps)
    below = kept[::2].abs()
    assert ((below > 0) & (below < TINY)).all(), "the case of this test"
    prepare(compose_config("seed=3"))
    weights, states = steps(name, n_steps)
    torch.set_flush_denormal(False)  # else the comparison takes what it looks for for 0
    assert (states[::2] == 0).all() and (states[1::2] != 0).all()
    assert torch.equal(weights, kept_weights), "no weight differs by a bit"
    assert torch.initial_seed() == 3
