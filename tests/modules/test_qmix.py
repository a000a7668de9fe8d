"""The QMIX mixer is TorchRL's."""

import pytest
import torch
from torchrl.modules.models import multiagent

from torchrl_drigm.modules import QMixer

SIZES = {"mixing_embed_dim": 8, "n_agents": 3, "device": "cpu"}


@pytest.mark.parametrize("batch", [(), (5,), (2, 4)], ids=str)
@pytest.mark.parametrize("state_shape", [(6,), (2, 3)], ids=str)
def test_values_and_gradients_are_those_of_torchrl(batch, state_shape):
    mixers = [kind(state_shape=state_shape, **SIZES) for kind in (QMixer, multiagent.QMixer)]
    mixers[1].load_state_dict(mixers[0].state_dict())
    chosen, state = torch.randn(*batch, 3, 1), torch.randn(*batch, *state_shape)
    found = []
    for mixer in mixers:
        inputs = chosen.clone().requires_grad_()
        value = mixer(inputs, state)
        assert value.shape == (*batch, 1)
        found.append((value, *torch.autograd.grad(value.sum(), [inputs, *mixer.parameters()])))
    for own, torchrls in zip(*found, strict=True):
        torch.testing.assert_close(own, torchrls, atol=1e-5, rtol=1e-4)
