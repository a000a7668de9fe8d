"""Stacked networks are the networks one by one: values, gradients, and by which way."""

import pytest
import torch
from torch import nn

from torchrl_drigm.modules import DRQN, stack_modules
from torchrl_drigm.modules.models import stacked
from torchrl_drigm.modules.models.stacked import _StackedTeam

F, ACTIONS, AGENTS, BATCH = 5, 4, 3, (2, 6)


def drqn(core="gru", **options):
    return DRQN(F, ACTIONS, AGENTS, hidden_size=8, core=core, **options)


def windows(n_runs, core):
    """What agents of all runs see, and the actions that they took, ``[R, *B, A, ...]``."""
    length = 1 if core == "none" else 4
    observation = torch.randn(n_runs, *BATCH, AGENTS, length, F)
    previous, action = (
        torch.randint(ACTIONS, (n_runs, *BATCH, AGENTS, *shape)) for shape in ((length,), ())
    )
    return observation, previous, action


def leaves(x):
    return list(x) if isinstance(x, tuple) else [x]


@pytest.mark.parametrize("method", ["forward", "chosen_value", "greedy_and_chosen"])
@pytest.mark.parametrize("core", ["gru", "lstm", "none"])
@pytest.mark.parametrize(
    "scaling",
    [
        {},
        {"observation_loc": 3.0, "observation_scale": 2.0},
        {"observation_loc": torch.arange(15.0).view(AGENTS, F)},
    ],
    ids=["none", "one", "of each agent"],
)
@pytest.mark.parametrize("degree", [None, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_values_and_gradients_are_those_of_the_networks(method, core, scaling, shared, degree):
    options = {"with_features": True, "share_params": shared, "action_degree": degree}
    networks = [drqn(core, **options, **scaling).double() for _ in range(4)]
    together = stack_modules(networks)
    assert isinstance(together, _StackedTeam) is not shared  # by the networks' own kernels
    observation, previous, action = windows(4, core)
    args = (observation.double(), previous, action)[: 2 if method == "forward" else 3]
    call = together if method == "forward" else getattr(together, method)
    found = leaves(call(*args))
    sum(x.square().sum() for x in found if x.is_floating_point()).backward()
    for run, network in enumerate(networks):
        expected = leaves(getattr(network, method)(*(x[run] for x in args)))
        sum(x.square().sum() for x in expected if x.is_floating_point()).backward()
        for x, y in zip(found, expected, strict=True):
            torch.testing.assert_close(x[run], y)
        for name, parameter in network.named_parameters():
            own = together.module.get_parameter(name).grad
            own = torch.zeros_like(parameter) if own is None else own[run]
            other = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(own, other)


class Own(DRQN):
    """Somebody's agents."""

    def forward(self, observation, previous_action):
        return 2.0 * super().forward(observation, previous_action)


def with_another_head():
    network = drqn()
    network.head = nn.Linear(8, ACTIONS)
    return network


@pytest.mark.parametrize(
    "networks",
    [
        [Own(F, ACTIONS, AGENTS, hidden_size=8) for _ in range(2)],
        [with_another_head() for _ in range(2)],
    ],
    ids=["subclass", "part replaced"],
)
def test_what_is_not_quite_a_team_is_computed_network_by_network(networks):
    together = stack_modules(networks)
    assert not isinstance(together, _StackedTeam)
    observation, previous, _ = windows(2, "gru")
    found = together(observation, previous)
    for run, network in enumerate(networks):
        torch.testing.assert_close(found[run], network(observation[run], previous[run]))


def test_networks_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match=r"network 0 is a Linear, and network 1 a GRU"):
        stack_modules([nn.Linear(2, 2), nn.GRU(2, 2)])
    with pytest.raises(
        ValueError, match=r"Linear\.weight is .*\(2, 2\).* in network 0, and .*\(2, 3\)"
    ):
        stack_modules([nn.Linear(2, 2), nn.Linear(3, 2)])


def test_runs_may_be_scaled_otherwise():
    networks = [drqn(observation_loc=loc, observation_scale=2.0 + loc) for loc in (0.0, 1.0)]
    together = stack_modules(networks)
    observation, previous, _ = windows(2, "gru")
    found = together(observation, previous)
    for run, network in enumerate(networks):
        torch.testing.assert_close(found[run], network(observation[run], previous[run]))


def test_the_mode_reaches_what_computes():
    together = stack_modules([nn.BatchNorm1d(3) for _ in range(2)]).eval()
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(together(x), x, atol=1e-4, rtol=1e-4)


def test_a_parameter_of_two_names_stays_one():
    networks = [nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2)]
    for network in networks:
        network[1].weight = network[0].weight
    together = stack_modules(networks)
    assert together.module[1].weight is together.module[0].weight
    assert {p.shape[0] for p in together.parameters()} == {2}
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(together(x)[1], networks[1](x[1]))


def test_parameters_are_copies_by_the_names_of_one():
    networks = [nn.Linear(2, 3) for _ in range(2)]
    together = stack_modules(networks)
    assert dict(together.named_parameters()).keys() == {"module.weight", "module.bias"}
    with torch.no_grad():
        networks[0].weight.zero_()
    assert together.module.weight[0].abs().sum() > 0
    assert together.n_runs == stacked.StackedModule(networks).n_runs == 2
