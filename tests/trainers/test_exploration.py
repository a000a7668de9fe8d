"""ε-greedy exploration of each agent, or of the whole team at once."""

import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Categorical, Composite
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import EGreedyModule

from torchrl_drigm.trainers.exploration import TeamEGreedy

ROWS, AGENTS, ACTIONS = 4000, 4, 1000
KEY, MASK = ("agents", "action"), ("agents", "action_mask")


def explored(cls, eps, mask=None):
    """Greedy actions, and what is done; a random action is almost never the greedy one."""
    shape = (ROWS, AGENTS)
    action = Categorical(ACTIONS, shape=shape, mask=mask)
    agents = Composite(action=action, shape=shape)
    explore = cls(
        Composite(agents=agents, shape=(ROWS,)),
        eps_init=eps,
        eps_end=0.0,
        action_key=KEY,
        action_mask_key=None if mask is None else MASK,
    )
    greedy = torch.full(shape, 7)
    given = TensorDict({"agents": TensorDict({"action": greedy.clone()}, shape)}, [ROWS])
    if mask is not None:
        given[MASK] = mask
    given["other"] = torch.ones(ROWS, 1)
    torch.manual_seed(0)
    done = explore(given)
    assert done is given and done["agents"].batch_size == shape
    return greedy, done[KEY]


def test_all_agents_of_a_team_explore_or_none():
    greedy, done = explored(TeamEGreedy, 0.5)
    random = done != greedy
    share = random.float().mean(-1)
    # an agent that explores draws the greedy action in one of a thousand cases
    assert ((share == 0) | (share >= 0.75)).all()
    together = share > 0
    # standard deviation of the mean: 0.008
    assert together.float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(done[~together], greedy[~together])
    drawn = done[together].float()
    assert drawn.mean().item() == pytest.approx((ACTIONS - 1) / 2, abs=20)  # uniform, sd 3.2
    assert torch.corrcoef(drawn.T).fill_diagonal_(0).abs().max() < 0.1  # each for itself, sd 0.022


def test_agents_explore_by_themselves_otherwise():
    greedy, done = explored(EGreedyModule, 0.5)
    n_random = (done != greedy).sum(-1)
    assert set(n_random.tolist()) == set(range(AGENTS + 1))


@pytest.mark.parametrize(("eps", "all_random"), [(0.0, False), (1.0, True)])
def test_at_the_ends_of_epsilon(eps, all_random):
    greedy, done = explored(TeamEGreedy, eps)
    assert ((done != greedy).any(-1) == all_random).all()


def test_only_available_actions_are_drawn():
    mask = torch.zeros(ROWS, AGENTS, ACTIONS, dtype=torch.bool)
    mask[..., [7, 9]] = True
    _, done = explored(TeamEGreedy, 0.5, mask)
    assert set(done.unique().tolist()) == {7, 9}


def test_nothing_is_drawn_where_nothing_is_to_be_explored():
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        greedy, done = explored(TeamEGreedy, 1.0)
    assert torch.equal(done, greedy)
