"""An ensemble: one loss, four sets of parameters, one pass."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules.models.multiagent import VDNMixer

from torchrl_drigm.modules import DRQN
from torchrl_drigm.objectives import RobustQMixerLoss
from torchrl_drigm.uncertainty import Contamination


def make_loss():
    """Of two agents with three observed numbers and four actions."""
    drqn = DRQN(observation_size=3, n_actions=4, n_agents=2, core="none")
    read = [("agents", "seen"), ("agents", "previous_action")]
    agents = TensorDictModule(drqn, read, [("agents", "action_value")])
    mixer = VDNMixer(n_agents=2, device="cpu")
    mixer = TensorDictModule(mixer, [("agents", "chosen_action_value")], ["chosen_action_value"])
    loss = RobustQMixerLoss(agents, mixer, action_space="categorical", delay_value=False)
    return loss.make_value_estimator(Contamination(rho=0.1, worst_value=-5.0), gamma=0.9)


def make_step(*batch):
    """What the agents see and do."""
    previous, action = torch.randint(4, (*batch, 2, 1)), torch.randint(4, (*batch, 2))
    seen = torch.randn(*batch, 2, 1, 3)
    return {"agents": {"seen": seen, "previous_action": previous, "action": action}}


losses = [make_loss() for _ in range(4)]
flags = {name: torch.zeros(8, 1, dtype=torch.bool) for name in ("done", "terminated")}
following = {**make_step(8), **flags, "reward": torch.randn(8, 1)}
batch = TensorDict({**make_step(8), "next": following}, [8])

# one set of parameters after the other, [4, ...] each
stacked = torch.stack([TensorDict.from_module(loss).data for loss in losses])
stacked = stacked.apply(lambda p: p.requires_grad_() if p.is_floating_point() else p)


def loss_of(params, batch):
    """The loss under one set of parameters."""
    with params.to_module(losses[0]):
        return losses[0](batch)["loss"]


each = torch.vmap(loss_of, in_dims=(0, None))(stacked, batch)  # [4]
each.sum().backward()  # of each set its own gradient
