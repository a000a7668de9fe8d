"""One loss of every kind on one network of every kind, and data that serve them all."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.modules import GRUModule, QValueModule, SafeSequential
from torchrl.objectives import SoftUpdate

from tests.objectives.conftest import N_ACTIONS, N_AGENTS, OBS, Q_OUT_KEYS, STATE, make_mixer
from torchrl_drigm.modules import (
    DRQN,
    DualNetwork,
    GroupRewardModel,
    QTRANJointValue,
    QTRANStateValue,
    RecurrentDRQN,
)
from torchrl_drigm.objectives import GroupRewardLoss, RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.uncertainty import find_set

B, T, WINDOW, HIDDEN, N_GROUPS = 3, 6, 2, 6, 2
MASK = ("agents", "action_mask")
VALUES = ("agents", "action_value")
COLLECTOR = ("collector", "mask")
# padding behind, before, in the middle (a lost connection), and nothing at all
VALID = torch.tensor([[1, 1, 1, 1, 0, 0], [0, 1, 1, 0, 1, 1], [1, 1, 0, 0, 1, 1]], dtype=torch.bool)
ALGORITHMS = ["vdn", "qmix", "qtran"]
# robust ones, and those of TorchRL that the losses accept
ESTIMATORS = [
    "contamination_td0",
    "contamination_tdlambda",
    "tv_td0",
    "tv_tdlambda",
    "td0",
    "td1",
    "tdlambda",
]
# the package's other sets, which differ from "tv" in the mathematics of the set alone
OTHER_SETS = ["cvar_td0", "kl_td0", "kl_tdlambda", "chi2_td0"]
NETWORKS = [
    "mlp",
    "mlp, masked by the loss",
    "mlp, masks itself",
    "windows",
    "windows, masks itself",
    "gru, masked by the loss",
    "lstm, masks itself",
    "torchrl's gru",
]
RECURRENT = ["gru", "lstm, masks itself", "torchrl's gru"]


def make_agents(network):
    """Agents by one of :data:`NETWORKS`."""
    kind, *_ = network.split(", ")
    if kind == "mlp":
        net = nn.Sequential(nn.Linear(OBS, 8), nn.Tanh(), nn.Linear(8, N_ACTIONS))
        values = TensorDictModule(net, [("agents", "observation")], [VALUES])
    elif kind == "windows":
        drqn = DRQN(OBS, N_ACTIONS, N_AGENTS, hidden_size=HIDDEN)
        history = [("agents", "history", "observation"), ("agents", "history", "action")]
        values = TensorDictModule(drqn, history, [VALUES])
    elif kind == "torchrl's gru":
        values = torchrl_gru()
    else:
        drqn = DRQN(OBS, N_ACTIONS, N_AGENTS, hidden_size=HIDDEN, core=kind, share_params=True)
        values = RecurrentDRQN(drqn)
    greedy = QValueModule(
        action_space="categorical",
        action_value_key=VALUES,
        action_mask_key=MASK if network.endswith("itself") else None,
        out_keys=Q_OUT_KEYS,
    )
    return SafeSequential(values, greedy)


def torchrl_gru():
    """One GRU of TorchRL's over the observations of all agents."""
    gru = GRUModule(
        input_size=N_AGENTS * OBS,
        hidden_size=HIDDEN,
        in_keys=["all", "hidden"],
        out_keys=["features", ("next", "hidden")],
    )
    head = nn.Sequential(
        nn.Linear(HIDDEN, N_AGENTS * N_ACTIONS), nn.Unflatten(-1, (N_AGENTS, N_ACTIONS))
    )
    return TensorDictSequential(
        TensorDictModule(lambda x: x.flatten(-2), [("agents", "observation")], ["all"]),
        gru,
        TensorDictModule(head, ["features"], [VALUES]),
    )


def make_loss(algorithm, network="mlp", estimator="contamination_td0", seed=0, **kwargs):
    """A loss whose parameters follow from the seed, with target networks that differ."""
    torch.manual_seed(seed)
    agents = make_agents(network)
    if estimator not in ("td0", "td1", "tdlambda"):
        n_duals = find_set(estimator.rsplit("_", 1)[0]).n_duals
        if n_duals:
            dual = DualNetwork(STATE, N_AGENTS, N_ACTIONS, hidden_size=8, n_duals=n_duals)
            kwargs["dual_network"] = dual
    if algorithm == "qtran":
        joint = QTRANJointValue(STATE, N_AGENTS, N_ACTIONS, hidden_size=8)
        joint = TensorDictModule(joint, ["state", ("agents", "action")], ["joint_action_value"])
        state = TensorDictModule(QTRANStateValue(STATE, hidden_size=8), ["state"], ["state_value"])
        loss = RobustQTRANLoss(agents, joint, state, **kwargs)
    else:
        loss = RobustQMixerLoss(agents, make_mixer(algorithm), action_space="categorical", **kwargs)
    if loss.delay_value:
        SoftUpdate(loss, eps=0.9)
    for name, part in loss.named_buffers():
        if name.startswith("target") and part.ndim > 1 and "observation" not in name:
            part.data += 0.3 * torch.randn_like(part)
    hyper = {"gamma": 0.9}
    if estimator.endswith("lambda"):
        hyper["lmbda"] = 0.7
    if estimator.startswith(("contamination", "tv")):
        hyper |= {"rho": 0.2, "worst_value": -3.0}
    elif estimator in OTHER_SETS:
        hyper["rho"] = 0.2
    return loss.make_value_estimator(estimator, **hyper)


def make_reward_loss(seed=0):
    """GroupDR's loss."""
    torch.manual_seed(seed)
    return GroupRewardLoss(GroupRewardModel(N_GROUPS, STATE, N_AGENTS, N_ACTIONS, hidden_size=8))


def make_data(*batch, masks=True, seed=0):
    """Random sequences (or transitions) with all that any network reads; few of them end."""
    batch = batch or (B, T)
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*batch, *shape, generator=generator)

    def integers(high, *shape):
        return torch.randint(high, (*batch, *shape), generator=generator)

    def step():
        agents = {
            "observation": rand(N_AGENTS, OBS),
            "previous_action": integers(N_ACTIONS, N_AGENTS),
            "history": {
                "observation": rand(N_AGENTS, WINDOW, OBS),
                "action": integers(N_ACTIONS, N_AGENTS, WINDOW),
            },
        }
        if masks:
            agents["action_mask"] = rand(N_AGENTS, N_ACTIONS) > 0
            agents["action_mask"][..., 0] = True
        return {"agents": agents, "state": rand(STATE)}

    root, following = step(), step()
    scores = rand(N_AGENTS, N_ACTIONS)
    if masks:
        scores = scores.masked_fill(~root["agents"]["action_mask"], -1e9)
    root["agents"]["action"] = scores.argmax(-1)
    root["group"] = integers(N_GROUPS, 1)
    end = torch.rand(*batch, 1, generator=generator)
    following["terminated"], following["truncated"] = end < 0.15, end > 0.9
    following["done"] = following["terminated"] | following["truncated"]
    following["reward"] = rand(1)
    root["is_init"] = torch.zeros(*batch, 1, dtype=torch.bool)
    if len(batch) > 1:
        root["is_init"][..., 1:, :] = following["done"][..., :-1, :]
    return TensorDict({**root, "next": following}, batch)


def data_for(network, *batch, seed=0):
    """Data with masks of legal actions where the network, or the loss for it, applies them."""
    return make_data(*batch, masks="mask" in network, seed=seed)


def outcome(loss, data):
    """Losses, gradients of all parameters and priorities, as plain tensors."""
    losses = loss(data)
    total = sum(value for key, value in losses.items() if key.startswith("loss"))
    named = {name: p for name, p in loss.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(total, list(named.values()), materialize_grads=True)
    found = {key: value.detach() for key, value in losses.items()}
    found |= dict(zip(named, gradients, strict=True))
    if "td_error" in data.keys():  # noqa: SIM118
        found["td_error"] = data["td_error"]
    return found


def fill(data, valid, how):
    """Masked steps hold zeros, huge numbers or NaN; integers what is no index of anything."""
    floats, integers = {"zeros": (0.0, 0), "huge": (1e30, 10**6), "nan": (float("nan"), -1)}[how]
    filled = data.clone()
    for leaf in filled.values(True, True):
        leaf[~valid] = (
            floats if leaf.is_floating_point() else False if leaf.dtype == torch.bool else integers
        )
    filled[COLLECTOR] = valid
    return filled
