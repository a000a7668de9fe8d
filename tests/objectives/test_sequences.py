"""Recurrent networks in the losses, against targets computed step by step."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules import QValueModule, SafeSequential, set_recurrent_mode
from torchrl.modules.models.multiagent import QMixer, VDNMixer
from torchrl.objectives import SoftUpdate

from tests.objectives import zoo
from torchrl_drigm.modules import DRQN, DualNetwork, RecurrentDRQN
from torchrl_drigm.objectives import RobustQMixerLoss
from torchrl_drigm.objectives._batch import in_next
from torchrl_drigm.objectives.value import contamination_backup, tv_backup

B, T, A, F, S, N_ACTIONS = 3, 7, 2, 4, 5, 3
GAMMA, RHO, WORST = 0.9, 0.3, -1.0
ACTION, MASK = ("agents", "action"), ("agents", "action_mask")
VALUE = ("agents", "action_value")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def make_loss(mixer="qmix", core="gru", masked=True, dual=False, **kwargs):
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=6, core=core, share_params=True, agent_id=True)
    greedy = QValueModule(
        action_space="categorical",
        action_value_key=VALUE,
        action_mask_key=MASK if masked else None,
        out_keys=[ACTION, VALUE, ("agents", "chosen_action_value")],
    )
    chosen = [("agents", "chosen_action_value")]
    if mixer == "qmix":
        network = QMixer(state_shape=(S,), mixing_embed_dim=4, n_agents=A, device="cpu")
        network = TensorDictModule(network, [*chosen, "state"], ["chosen_action_value"])
    else:
        network = VDNMixer(n_agents=A, device="cpu")
        network = TensorDictModule(network, chosen, ["chosen_action_value"])
    loss = RobustQMixerLoss(
        SafeSequential(RecurrentDRQN(drqn), greedy),
        network,
        dual_network=DualNetwork(S, A, N_ACTIONS) if dual else None,
        action_space="categorical",
        **kwargs,
    )
    SoftUpdate(loss, tau=0.1)
    for parameter in loss.target_local_value_network_params.values(True, True):
        if parameter.ndim > 1:  # not the scaling of the observations
            parameter.data += 0.3 * torch.randn_like(parameter)
    return loss


def make_data():
    """Sequences with an end in mid-sequence: terminated in the first, truncated in the second.

    States are stored at every step: what comes after an end starts from its own, as slices do.
    """

    def step():
        return {
            "agents": {
                "observation": torch.randn(B, T, A, F),
                "previous_action": torch.randint(N_ACTIONS + 1, (B, T, A)),
                "action_mask": torch.rand(B, T, A, N_ACTIONS) < 0.6,
            },
            "state": torch.randn(B, T, S),
        }

    root, after = step(), step()
    for part in (root, after):
        part["agents"]["action_mask"][..., 0] = True
    flags = torch.zeros(2, B, T, 1, dtype=torch.bool)
    flags[0, 0, 3] = flags[1, 1, 2] = True
    terminated, truncated = flags
    is_init = torch.zeros(B, T, 1, dtype=torch.bool)
    is_init[:, 1:] = (terminated | truncated)[:, :-1]
    root["agents"]["recurrent_state"] = torch.randn(B, T, A, 6)
    root["agents"]["action"] = torch.zeros(B, T, A, dtype=torch.int64)
    root["is_init"] = is_init
    after |= {
        "reward": torch.randn(B, T, 1),
        "terminated": terminated,
        "truncated": truncated,
        "done": terminated | truncated,
    }
    return TensorDict({**root, "next": after}, [B, T])


def network(loss, params):
    """A copy of the loss's agents with its online or target parameters in it."""
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=6, core="gru", share_params=True, agent_id=True)
    (inner,) = (params["module", "0", "drqn"],)
    for name, parameter in drqn.named_parameters():
        parameter.data.copy_(inner[tuple(name.split("."))])
    return drqn


@torch.no_grad()
def expected_parts(loss, data, masked, double_dqn):
    """Team value and next team value ``[B, T]``, one step of one sequence at a time."""
    online = network(loss, loss.local_value_network_params)
    target = network(loss, loss.target_local_value_network_params)
    predicted, following = torch.zeros(2, B, T)

    def team(params, state, chosen):
        with params.to_module(loss.mixer_network):
            td = TensorDict({"agents": {"chosen_action_value": chosen.unsqueeze(-1)}}, [])
            td["state"] = state
            return loss.mixer_network(td)["chosen_action_value"].squeeze()

    for b in range(B):
        state = {"online": None, "target": None}
        for t in range(T):
            now = data[b, t]
            if t == 0:
                state = dict.fromkeys(state, now["agents", "recurrent_state"])
            value = {}
            for name, net in (("online", online), ("target", target)):
                if now["is_init"]:
                    state[name] = now["agents", "recurrent_state"]
                out, after = net.unroll(
                    now["agents", "observation"].unsqueeze(0),
                    now["agents", "previous_action"].unsqueeze(0),
                    state[name],
                )
                state[name] = after[0]
                if name == "online":
                    chosen = out[0].gather(-1, now[ACTION].unsqueeze(-1)).squeeze(-1)
                    predicted[b, t] = team(loss.mixer_network_params, now["state"], chosen)
                out, _ = net.unroll(
                    now["next", "agents", "observation"].unsqueeze(0),
                    now["next", "agents", "previous_action"].unsqueeze(0),
                    after[0],
                )
                value[name] = out[0]
            preference = value["online" if double_dqn else "target"].clone()
            if masked:
                preference[~now["next", *MASK]] = -torch.inf
            best = preference.argmax(-1, keepdim=True)
            chosen = value["target"].gather(-1, best).squeeze(-1)
            following[b, t] = team(loss.target_mixer_network_params, now["next", "state"], chosen)
    return predicted, torch.where(data["next", "terminated"].squeeze(-1), 0.0, following)


@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
@pytest.mark.parametrize("double_dqn", [False, True], ids=["target choice", "double dqn"])
@pytest.mark.parametrize("masked", [False, True], ids=["all legal", "masked"])
@pytest.mark.parametrize("burn_in", [0, 2])
def test_loss_is_the_one_computed_step_by_step(mixer, double_dqn, masked, burn_in):
    loss = make_loss(mixer, masked=masked, double_dqn=double_dqn, burn_in=burn_in)
    loss.make_value_estimator("contamination_td0", gamma=GAMMA, rho=RHO, worst_value=WORST)
    data = make_data()
    if not masked:
        data = data.exclude(MASK, ("next", *MASK))
    predicted, following = expected_parts(loss, data, masked, double_dqn)
    target = data["next", "reward"].squeeze(-1) + GAMMA * contamination_backup(
        following, RHO, WORST
    )
    expected = (predicted - target).square()[:, burn_in:].mean()
    kept = data.clone()
    torch.testing.assert_close(loss(data)["loss"].detach(), expected)
    assert (data.exclude("td_error") == kept).all(), "the loss must not change its input"


def test_total_variation_on_sequences():
    loss = make_loss(dual=True, double_dqn=True)
    loss.make_value_estimator("tv_td0", gamma=GAMMA, rho=RHO, worst_value=WORST)
    data = make_data()
    predicted, following = expected_parts(loss, data, True, True)
    dual = data.select("state", ACTION)
    with loss.dual_network_params.to_module(loss.dual_network):
        dual_value = loss.dual_network(dual)["dual_value"].squeeze(-1).detach()
    backup = tv_backup(following, dual_value, RHO, WORST)
    target = data["next", "reward"].squeeze(-1) + GAMMA * backup
    out = loss(data)
    torch.testing.assert_close(out["loss"].detach(), (predicted - target).square().mean())
    torch.testing.assert_close(out["loss_dual"].detach(), -backup.mean())


def test_gradient_flows_through_time_but_not_into_the_target():
    loss = make_loss(core="lstm", masked=False)
    loss.make_value_estimator("contamination_td0", gamma=GAMMA)
    data = make_data().exclude(MASK, ("next", *MASK), ("agents", "recurrent_state"))
    data["agents", "observation"].requires_grad_()
    loss(data)["loss"].backward()
    assert all(p.grad is not None for p in loss.parameters() if p.requires_grad)
    # the first observation reaches the last loss of its episode
    assert (data["agents", "observation"].grad[2, 0] != 0).all()


def test_each_network_runs_along_the_sequences_once(monkeypatch):
    """Double DQN goes on from the states that the predicted values were computed from."""
    loss = make_loss(double_dqn=True)
    loss.make_value_estimator("contamination_td0", gamma=GAMMA)
    lengths, unroll = [], DRQN.unroll

    def counted(drqn, observation, *args):
        lengths.append(observation.shape[-3])
        return unroll(drqn, observation, *args)

    monkeypatch.setattr(DRQN, "unroll", counted)
    data = make_data()
    loss(data)
    assert sorted(lengths) == [1, 1, T, T]
    lengths.clear()
    loss.next_team_value(data)
    assert sorted(lengths) == [1, 1, T, T], "without predicted values it computes both itself"


class TestNextValues:
    """The next value of every step is that of acting on from it, for every recurrent network."""

    @pytest.mark.parametrize("stored", [False, True], ids=["no state", "states stored"])
    @pytest.mark.parametrize("network", zoo.RECURRENT)
    @pytest.mark.parametrize("algorithm", ["vdn", "qmix"])
    def test_step_by_step(self, algorithm, network, stored):
        loss, data = zoo.make_loss(algorithm, network), zoo.data_for(network)
        agents = loss.local_value_network
        (key,) = (key for key in agents.in_keys if in_next(key) in agents.out_keys)
        with set_recurrent_mode(False):
            first = data[:, 0].exclude("next", "is_init")
            first["is_init"] = torch.zeros(zoo.B, 1, dtype=torch.bool)
            zero = torch.zeros_like(agents(first)[in_next(key)])
        if stored or network == "torchrl's gru":  # which needs a state
            sequence = zero.unsqueeze(1).expand(-1, zoo.T, *zero.shape[1:])
            data[key] = torch.randn_like(sequence) if stored else sequence.clone()
        found = loss.next_team_value(data)
        state = None
        no = torch.zeros(zoo.B, 1, dtype=torch.bool)
        with (
            torch.no_grad(),
            set_recurrent_mode(False),
            loss.target_local_value_network_params.to_module(agents),
            loss.target_mixer_network_params.to_module(loss.mixer_network),
        ):
            for t in range(zoo.T):
                step = data[:, t].exclude("next").clone(False)
                own = data[key][:, t] if stored else zero
                starts = step["is_init"].view(-1, *[1] * (zero.ndim - 1))
                state = own if state is None else torch.where(starts, own, state)
                step[key], step["is_init"] = state, no
                state = agents(step)[in_next(key)]
                following = data["next"][:, t].clone(False)
                following[key], following["is_init"] = state, no
                value = agents(following)["agents", "action_value"]
                following["agents", "chosen_action_value"] = value.amax(-1, keepdim=True)
                team = loss.mixer_network(following)["chosen_action_value"]
                torch.testing.assert_close(found[:, t], team)
