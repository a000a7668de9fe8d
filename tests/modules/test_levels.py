"""Actions that are levels: values are a polynomial of the level, by every way to them."""

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from torchrl_drigm.modules import DRQN, DualNetwork, QTRANJointValue, RecurrentDRQN
from torchrl_drigm.modules.models._levels import level_polynomials

F, LEVELS, AGENTS, BATCH = 5, 9, 3, 6


def make(degree=2, core="gru", **options):
    torch.manual_seed(0)
    return DRQN(F, LEVELS, AGENTS, hidden_size=8, core=core, action_degree=degree, **options)


def windows(length=4):
    generator = torch.Generator().manual_seed(1)
    observation = torch.randn(BATCH, AGENTS, length, F, generator=generator)
    return observation, torch.randint(LEVELS, (BATCH, AGENTS, length), generator=generator)


@pytest.mark.parametrize("degree", [1, 2, 3, 8])
def test_polynomials_are_numpys(degree):
    expected = chebyshev.chebvander(np.linspace(-1, 1, LEVELS), degree).T
    np.testing.assert_allclose(level_polynomials(LEVELS, degree), expected, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_values_are_polynomials_of_that_degree(degree, shared):
    values = make(degree, share_params=shared)(*windows()).detach().double().numpy()
    level = np.linspace(-1, 1, LEVELS)
    for one in values.reshape(-1, LEVELS):
        fitted = chebyshev.chebfit(level, one, degree)
        np.testing.assert_allclose(chebyshev.chebval(level, fitted), one, atol=1e-6)
        assert abs(fitted[-1]) > 1e-4  # and of no lower one


@pytest.mark.parametrize("shared", [False, True])
def test_previous_actions_enter_by_a_polynomial(shared):
    """As the network without a degree whose embeddings and head are those of the levels."""
    drqn = make(2, share_params=shared)
    plain = DRQN(F, LEVELS, AGENTS, hidden_size=8, core="gru", share_params=shared)
    table = level_polynomials(LEVELS, 2).t()
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            if name == "action_embedding":
                parameter.copy_(table @ drqn.action_embedding)
            elif name == "head.weight":
                parameter.copy_(table @ drqn.head.coefficients.weight)
            elif name == "head.bias":
                parameter.copy_(drqn.head.coefficients.bias @ table.t())
            else:
                parameter.copy_(drqn.get_parameter(name))
    torch.testing.assert_close(drqn(*windows()), plain(*windows()), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("core, length", [("gru", 4), ("lstm", 4), ("none", 1)])
@pytest.mark.parametrize("shared", [False, True])
def test_fast_paths_give_what_forward_gives(core, length, shared):
    drqn = make(core=core, share_params=shared)
    observation, previous = windows(length)
    action = torch.randint(LEVELS, (BATCH, AGENTS))
    values = drqn(observation, previous)
    chosen = values.gather(-1, action.unsqueeze(-1))
    found = drqn.chosen_value(observation, previous, action)
    torch.testing.assert_close(found, chosen)
    greedy, both, _ = drqn.greedy_and_chosen(observation, previous, action)
    assert torch.equal(greedy, values.argmax(-1))
    torch.testing.assert_close(both, torch.cat([values.amax(-1, keepdim=True), chosen], -1))


@pytest.mark.parametrize("shared", [False, True])
def test_sequences(shared):
    """A window from a zero state is a sequence that starts after an action; none is no action."""
    drqn = make(share_params=shared)
    observation, previous = windows()
    values, _ = drqn.unroll(observation.transpose(1, 2), previous.transpose(1, 2))
    torch.testing.assert_close(values[:, -1], drqn(observation, previous))
    none = torch.full_like(previous[..., :1], LEVELS).transpose(1, 2)
    first, _ = drqn.unroll(observation[:, :, :1].transpose(1, 2), none)
    with torch.no_grad():
        drqn.action_embedding.zero_()
    torch.testing.assert_close(first[:, 0], drqn(observation[:, :, :1], previous[..., :1]))
    assert RecurrentDRQN(drqn) is not None


def test_joint_actions_are_a_polynomial_of_each_level():
    """What a team does enters the dual and QTRAN's joint value by the same polynomials."""
    dual = DualNetwork(4, AGENTS, LEVELS, hidden_size=8, action_degree=2)
    joint = QTRANJointValue(4, AGENTS, LEVELS, hidden_size=8, action_degree=2)
    action = torch.randint(LEVELS, (BATCH, AGENTS))
    terms = level_polynomials(LEVELS, 2).t()[action]  # [B, A, K]
    for encoder in (dual.action_encoder, joint.action_encoder):
        assert encoder.weight.shape == (AGENTS, 3, 8)
        expected = torch.einsum("bak,akh->bh", terms, encoder.weight) + encoder.bias
        torch.testing.assert_close(encoder.embed(action, [BATCH]), expected)
        one_hot = torch.nn.functional.one_hot(action, LEVELS)
        torch.testing.assert_close(encoder.embed(one_hot, [BATCH]), expected)
    with pytest.raises(ValueError, match="below n_actions=9, received 9"):
        DualNetwork(4, AGENTS, LEVELS, action_degree=9)


def test_parameters_and_what_is_saved():
    drqn = make()
    assert drqn.action_embedding.shape == (AGENTS, 3, 8)
    assert drqn.head.coefficients.weight.shape == (AGENTS, 3, 8)
    assert not any("polynomials" in name for name in drqn.state_dict())
    other = make().double()
    assert other(windows()[0].double(), windows()[1]).dtype == torch.float64
    other.load_state_dict(drqn.state_dict())


@pytest.mark.parametrize("degree", [0, -1, 1.5, True])
def test_not_a_degree(degree):
    with pytest.raises(ValueError, match="action_degree must be an int of at least 1, received"):
        make(degree)


def test_a_degree_for_which_there_are_too_few_actions():
    with pytest.raises(ValueError, match=r"below n_actions=9, received 9: .* action_degree=None"):
        make(9)
