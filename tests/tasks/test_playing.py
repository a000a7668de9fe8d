"""Battles of a toy, without a simulator: whose they are, how a policy plays them, what is lost."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.data import Categorical, Composite, Unbounded
from torchrl.envs import Compose, EnvBase, InitTracker, TransformedEnv
from torchrl.envs.utils import ExplorationType, exploration_type
from torchrl.modules import GRUModule
from torchrl.modules.utils import get_primers_from_module

from torchrl_drigm.envs.transforms import PreviousAction
from torchrl_drigm.modules import DRQN, RecurrentDRQN
from torchrl_drigm.tasks import play

ACTION, OBSERVATION = ("agents", "action"), ("agents", "observation")
WON = {"won": ("info", "battle_won")}


class Battles(EnvBase):
    """Copy ``i`` fights for ``i + 1`` steps of reward 1, and wins if the last action is 1.

    Args:
        lost: the games whose connection breaks in the first battle, at its last step.
    """

    def __init__(self, num_envs=2, lost=()):
        super().__init__(batch_size=[num_envs])
        batch = (num_envs,)
        self.lost = torch.zeros(num_envs, dtype=torch.bool)
        self.lost[list(lost)] = True

        def flag():
            return Categorical(2, shape=(*batch, 1), dtype=torch.bool)

        self.observation_spec = Composite(
            agents=Composite(observation=Unbounded((*batch, 1, 3)), shape=(*batch, 1)),
            info=Composite(battle_won=flag(), connection_lost=flag(), shape=batch),
            shape=batch,
        )
        self.action_spec = Composite(
            agents=Composite(action=Categorical(2, shape=(*batch, 1)), shape=(*batch, 1)),
            shape=batch,
        )
        self.reward_spec = Unbounded((*batch, 1))
        self.steps = torch.zeros(num_envs, dtype=torch.int64)

    def _entries(self, won, lost):
        return {
            "agents": TensorDict(
                {"observation": torch.ones(*self.batch_size, 1, 3)}, (*self.batch_size, 1)
            ),
            "info": TensorDict({"battle_won": won, "connection_lost": lost}, self.batch_size),
        }

    def _reset(self, tensordict=None, **kwargs):
        reset = None if tensordict is None else tensordict.get("_reset", None)
        reset = torch.ones_like(self.lost) if reset is None else reset.flatten()
        self.steps = torch.where(reset, 0, self.steps)
        no = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        entries = {**self._entries(no, no.clone()), "done": no.clone(), "terminated": no.clone()}
        return TensorDict(entries, self.batch_size)

    def _step(self, tensordict):
        self.steps = self.steps + 1
        done = self.steps > torch.arange(len(self.steps))
        lost = done & self.lost
        self.lost = self.lost & ~lost
        won = done & ~lost & (tensordict[ACTION] == 1).all(-1)
        entries = self._entries(won.unsqueeze(-1), lost.unsqueeze(-1))
        entries["reward"] = torch.ones(*self.batch_size, 1)
        entries |= {key: done.unsqueeze(-1) for key in ("done", "terminated")}
        return TensorDict(entries, self.batch_size)

    def _set_seed(self, seed):
        pass


def act(value):
    return lambda td: td.set(ACTION, torch.full((*td.batch_size, 1), value))


class Dropping(nn.Module):
    """Wins only while its dropout rests: then every observation of 1 reaches the action."""

    def __init__(self):
        super().__init__()
        self.drop, self.frozen = nn.Dropout(0.999), nn.Dropout(0.5).eval()

    def forward(self, tensordict):
        self.seen = (torch.is_grad_enabled(), exploration_type())
        alive = self.drop(tensordict[OBSERVATION]).mean(-1)
        return tensordict.set(ACTION, (alive == 1).long())


def test_rows_are_whole_battles():
    battles = play(act(1), Battles(3), 6, metrics=WON)
    assert battles["steps"].tolist() == [1, 2, 3] * 2
    assert battles["return"].tolist() == [1.0, 2.0, 3.0] * 2
    assert battles["won"].all()
    assert not play(act(0), Battles(3), 3, metrics=WON)["won"].any()


def test_a_policy_plays_in_evaluation_mode_and_comes_back_as_it_was():
    policy = Dropping()
    assert play(policy, Battles(3), 3, metrics=WON)["won"].all()
    assert policy.seen == (False, ExplorationType.DETERMINISTIC)
    assert (policy.training, policy.drop.training, policy.frozen.training) == (True, True, False)


def test_modes_come_back_after_an_error_too():
    policy = Dropping()
    with pytest.raises(ValueError, match="have not ended"):
        play(policy, Battles(3), 3, max_steps=2)
    assert policy.training and policy.drop.training


def test_a_battle_whose_game_was_lost_is_played_again():
    battles = play(act(1), Battles(3, lost=[1]), 3, metrics=WON)
    assert battles["won"].all()
    assert battles["steps"].tolist() == [1, 2, 3]
    assert battles["return"].tolist() == [1.0, 2.0, 3.0]


class TestMemory:
    """A recurrent team on an environment that does not carry its state has no memory."""

    @staticmethod
    def torchrl_team():
        observation = TensorDictModule(
            lambda x: x.squeeze(-2), in_keys=[OBSERVATION], out_keys=["flat"]
        )
        core = GRUModule(input_size=3, hidden_size=2, in_key="flat", out_key="embedded")
        head = TensorDictModule(
            lambda x: (x[..., :1] > 0).long(), in_keys=["embedded"], out_keys=[ACTION]
        )
        return TensorDictSequential(observation, core, head), ("recurrent_state",), [InitTracker()]

    @staticmethod
    def our_team():
        qnet = RecurrentDRQN(DRQN(3, 2, 1, hidden_size=4, core="gru"))
        head = TensorDictModule(
            lambda value: value.argmax(-1), in_keys=[("agents", "action_value")], out_keys=[ACTION]
        )
        # what it writes for the next step is not among the keys of the whole
        team = TensorDictSequential(
            qnet, head, selected_out_keys=[ACTION, ("next", "agents", "recurrent_state")]
        )
        return team, ("agents", "recurrent_state"), [InitTracker(), PreviousAction()]

    @pytest.mark.parametrize("make", ["torchrl_team", "our_team"])
    def test_without_its_primer_it_is_refused(self, make):
        team, key, transforms = getattr(self, make)()
        env = TransformedEnv(Battles(2), Compose(*transforms))
        with pytest.raises(ValueError, match=rf"carries .*{key[-1]}.*play without memory.*primer"):
            play(team, env, 2)
        env.append_transform(get_primers_from_module(team))
        assert len(play(team, env, 2)) == 2


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (("info", "dragons"), r"entry \('info', 'dragons'\) of a step is not there"),
        (OBSERVATION, r"'measured' must be one .* 2 episodes.* shape \[2, 1, 3\]: name one of"),
    ],
    ids=["missing", "not one number"],
)
def test_a_metric_is_one_number_for_each_episode(key, message):
    with pytest.raises(ValueError, match=message):
        play(act(1), Battles(), 2, metrics={"measured": key})
