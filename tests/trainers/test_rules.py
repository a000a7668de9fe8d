"""One small test for each rule of training that needs no run, named after the rule."""

from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.modules import EGreedyModule

from tests.objectives.conftest import make_loss
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import PerPartStepper
from torchrl_drigm.trainers.hooks import AnnealEpsilon, AnnealLearningRate
from torchrl_drigm.trainers.next_values import KeepNextValue
from torchrl_drigm.trainers.targets import make_target_updater


def updates_until_targets_move(*overrides):
    """How many updates it takes, and the share of the distance that they then move."""
    loss = make_loss()
    updater = make_target_updater(compose_config(*overrides), loss)
    name = ("module", "0", "module", "0", "bias")
    online = loss.local_value_network_params[name]
    target = loss.target_local_value_network_params[name]
    online.data.copy_(target.data + 1.0)
    before = target.clone()
    for update in range(1, 100):
        updater.step()
        if not torch.equal(target, before):
            return update, (target - before).mean().item()
    raise AssertionError("never")


def test_targets_are_copied_every_interval_of_updates():
    found = updates_until_targets_move("target.interval=7", "target.tau=null")
    assert found == (7, pytest.approx(1.0))


def test_soft_targets_move_by_tau_at_every_update():
    found = updates_until_targets_move("target.interval=null", "target.tau=0.25")
    assert found == (1, pytest.approx(0.25))


class TestKeptValues:
    """Of a loss whose next value is what its target networks are set to."""

    @pytest.fixture
    def kept(self):
        loss = SimpleNamespace(tensor_keys=SimpleNamespace(team_value="team_value"), value=1.0)
        loss.next_team_value = lambda steps: torch.full((*steps.batch_size, 1), loss.value)
        buffer = ReplayBuffer(storage=LazyTensorStorage(8))
        keep = KeepNextValue(loss, buffer, SimpleNamespace(counter=0))
        buffer.extend(keep(TensorDict({"next": {"reward": torch.zeros(4, 1)}}, [4])))
        loss.value = 2.0
        return keep

    @staticmethod
    def values(kept):
        return kept.replay_buffer[:]["next", "team_value"].unique().tolist()

    def test_are_there_from_the_start(self, kept):
        assert self.values(kept) == [1.0]

    def test_are_renewed_after_a_copy(self, kept):
        kept.renew()
        assert self.values(kept) == [2.0]

    def test_stay_between_copies(self, kept):
        kept.target_updater.counter = 3
        kept.renew()
        assert self.values(kept) == [1.0]


def test_exploration_falls_along_a_line_and_stays_at_its_end():
    greedy = EGreedyModule(spec=None, eps_init=1.0, eps_end=0.2)
    anneal = AnnealEpsilon(greedy, annealing_frames=100)
    found = []
    for anneal._trainer in (SimpleNamespace(collected_frames=n) for n in (0, 50, 100, 300)):
        anneal()
        found.append(greedy.eps.item())
    assert found == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_learning_rates_fall_along_a_line_of_what_they_were():
    parts = [torch.optim.SGD([nn.Parameter(torch.ones(()))], lr) for lr in (1.0, 0.1)]
    by_name = dict(zip("ab", parts, strict=True))
    anneal = AnnealLearningRate(by_name, end_factor=0.5, total_frames=100)
    parts[0].load_state_dict(parts[0].state_dict())  # other dictionaries, as after a resumption
    found = []
    for anneal._trainer in (SimpleNamespace(collected_frames=n) for n in (0, 50, 100, 300)):
        anneal()
        found.append([one.param_groups[0]["lr"] for one in parts])
    assert found == [[1.0, 0.1], [0.75, pytest.approx(0.075)], [0.5, 0.05], [0.5, 0.05]]


def test_each_part_is_clipped_by_its_own_norm():
    large, small = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
    parts = {"values": torch.optim.SGD([large], 1.0), "dual": torch.optim.SGD([small], 1.0)}
    losses = TensorDict({"loss": 100.0 * large, "loss_dual": 0.5 * small})
    trainer = SimpleNamespace(clip_norm=1.0, compute_loss=lambda _: losses)
    PerPartStepper(parts).step(trainer, None)
    assert (large.item(), small.item()) == (pytest.approx(0.0, abs=1e-5), 0.5)
