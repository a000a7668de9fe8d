"""Next values stored with the transitions: the same training as with values computed each time."""

import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm.config import compose_config
from torchrl_drigm.envs.transforms import NextHistory
from torchrl_drigm.trainers import (
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
    next_values,
)

pytestmark = pytest.mark.sustaingym
SMALL = [
    "preset=paper",
    "env.num_envs=2",
    "env.n_action_levels=10",
    "agent.hidden_size=8",
    "optim.updates_per_batch=2",
    "optim.lr=1e-3",
    "replay.batch_size=16",
    "replay.size=64",
    "target.interval=20",
    "collector.frames_per_batch=16",
    "collector.total_frames=256",
    "collector.init_random_frames=32",
    "progress_bar=false",
]


def trained(tmp_path, *overrides):
    """The trainer after its run, with the losses of every update."""
    cfg = compose_config(*SMALL, *overrides)
    torch.manual_seed(0)
    env = make_env(cfg)
    agents = make_agents(cfg, env)
    loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
    trainer = make_trainer(cfg, env, agents, loss, tmp_path)
    step, losses = trainer.optimization_stepper.step, []

    def record(*args):
        losses.append(step(*args))
        return losses[-1].clone()

    trainer.optimization_stepper.step = record
    trainer.train()
    return trainer, torch.stack(losses)


@pytest.mark.parametrize("uncertainty", ["none", "tv"])
@pytest.mark.parametrize("mixer", ["vdn", "qmix", "qtran"])
def test_same_losses_over_hard_copies(tmp_path, monkeypatch, mixer, uncertainty):
    overrides = (f"mixer={mixer}", f"uncertainty={uncertainty}")
    trainer, losses = trained(tmp_path / "kept", *overrides)
    assert ("next", "team_value") in trainer.replay_buffer.sample().keys(True)
    monkeypatch.setattr(next_values, "keeps_next_value", lambda cfg: False)
    trainer, expected = trained(tmp_path / "computed", *overrides)
    assert ("next", "team_value") not in trainer.replay_buffer.sample().keys(True)
    assert len(losses) > 25  # one copy at least
    torch.testing.assert_close(losses, expected, rtol=1e-3, atol=1e-4)


def test_stored_values_are_those_of_the_target_networks(tmp_path):
    trainer, _ = trained(tmp_path, "mixer=qmix", "uncertainty=none", "target.interval=17")
    data = trainer.replay_buffer[:]
    expected = trainer.loss_module.next_team_value(NextHistory()(data))
    torch.testing.assert_close(data["next", "team_value"], expected)


@pytest.mark.parametrize(
    "overrides",
    [
        ["target.interval=null", "target.tau=0.01"],
        ["optim.double_dqn=true"],
        ["target.interval=1"],
    ],
    ids=["soft", "double", "every update"],
)
def test_not_where_it_does_not_last(tmp_path, overrides):
    trainer, _ = trained(tmp_path, "collector.total_frames=64", *overrides)
    assert ("next", "team_value") not in trainer.replay_buffer.sample().keys(True)


@pytest.mark.parametrize("mixer", ["qmix", "qtran"])
def test_loss_takes_the_renamed_key(tmp_path, mixer):
    trainer, _ = trained(tmp_path, f"mixer={mixer}", "uncertainty=none")
    loss, batch = trainer.loss_module, trainer.replay_buffer.sample()
    name = "loss" if mixer == "qmix" else "loss_td"
    expected = loss(batch.clone())[name]
    loss.set_keys(team_value="elsewhere")
    batch["next", "elsewhere"] = batch["next", "team_value"] + 100.0
    batch["next", "team_value"] = torch.full_like(batch["next", "team_value"], float("nan"))
    assert (loss(batch)[name] - expected).abs() > 1.0
