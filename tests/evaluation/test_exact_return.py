"""A team's exact return, against what is known by hand and against exact values."""

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn

from torchrl_drigm.evaluation import exact_return
from torchrl_drigm.tabular import machines, optimal_values, policy_evaluation, random_dec_pomdp

ACTION = ("agents", "action")


def by_state(policy):
    """A team that looks its actions up, ``[S, N]``."""
    return lambda td: td.set(ACTION, policy[td["state"].argmax(-1)])


@pytest.mark.parametrize("n_actions", [(2, 2), (2, 3), (3,)])
def test_a_policy_of_states_has_the_value_of_its_evaluation(n_actions):
    model = random_dec_pomdp(6, n_actions, seed=1, gamma=0.8)
    torch.manual_seed(0)
    policy = torch.stack([torch.randint(n, (6,)) for n in n_actions], -1)
    v = policy_evaluation(model, policy)[1]
    for start in range(6):
        found = exact_return(by_state(policy), model, start=start)
        assert found == pytest.approx(v[start].item(), abs=1e-12)


def test_the_best_policy_has_the_best_value():
    q, v = optimal_values(machines(3.0))
    policy = torch.stack(torch.unravel_index(q.flatten(1).argmax(1), (2, 2)), -1)
    assert exact_return(by_state(policy), machines(3.0)) == pytest.approx(v[0].item(), abs=1e-9)


def test_the_last_action_is_known():
    """Both agents alternate, from 1 on: what a policy of states cannot do in one state."""
    model = random_dec_pomdp(2, (2, 2), seed=0, n_terminal=0, gamma=0.5)
    model = type(model)(torch.ones(1, 2, 2, 1), torch.tensor([[[0.0, 5.0], [7.0, 1.0]]]), 0.5)
    alternate = lambda td: td.set(ACTION, 1 - td["agents", "history", "action"].squeeze(-1))  # noqa: E731
    assert exact_return(alternate, model) == pytest.approx(1 / (1 - 0.25))


def test_a_module_is_asked_in_evaluation_mode():
    class Trained(nn.Module):
        def forward(self, state):
            return torch.full((len(state), 2), int(self.training))

    team = TensorDictModule(Trained(), ["state"], [ACTION])
    model = machines()
    never = torch.zeros(49, 2, dtype=torch.int64)
    expected = policy_evaluation(model, never)[1][0].item()
    assert exact_return(team, model) == pytest.approx(expected) and team.training


class Carrying(nn.Module):
    in_keys, out_keys = ("memory",), (("next", "memory"), ACTION)


class LongWindows:
    def memory(self):
        from torchrl_drigm.envs.transforms import HistoryWindow

        return [HistoryWindow(2)]


@pytest.mark.parametrize("team", [Carrying(), LongWindows()], ids=["recurrent", "windows"])
def test_a_team_that_remembers_more_is_refused(team):
    with pytest.raises(ValueError, match=r"remembers more than the last action.* evaluate\(team\)"):
        exact_return(team, machines())


@pytest.mark.parametrize(
    ("team", "got"),
    [
        (lambda td: None, "got none"),
        (lambda td: td.set(ACTION, torch.zeros(196, 2, 1).long()), r"got \[196, 2, 1\] up"),
        (lambda td: td.set(ACTION, torch.full((196, 2), 2)), r"got \[196, 2\] up to 2"),
    ],
)
def test_actions_that_are_not_the_models_are_refused(team, got):
    with pytest.raises(ValueError, match=rf"below \[2, 2\], {got}"):
        exact_return(team, machines())
