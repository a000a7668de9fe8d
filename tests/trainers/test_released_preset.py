"""Runs of the paper's released configuration: some days with each mixer, smaller networks."""

import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm import trainers
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import read_metrics

pytestmark = pytest.mark.sustaingym
SMALL = ("agent.hidden_size=8", "env.n_action_levels=10", "replay.batch_size=8")


def trained(folder, frames, *overrides):
    cfg = compose_config(
        *("preset=released", f"collector.total_frames={frames}", "progress_bar=false"),
        *("log_interval=100", *SMALL, *overrides),
    )
    torch.manual_seed(0)
    run = trainers.build(cfg, folder)
    run.train()
    return run


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["vdn", "qmix", "qtran"])
def test_each_mixer_learns_with_total_variation(tmp_path, mixer):
    frames, days = 224, 4  # of 48 steps, and some
    run = trained(tmp_path, frames, f"mixer={mixer}", "uncertainty=tv", "env.time_res=1800")
    trainer = run.trainer
    assert trainer._optim_count == frames - 64 + 8  # one a step: half of the dual network, half not
    # of which each whole day has lost one
    assert len(trainer.replay_buffer) == frames - days
    stored = trainer.replay_buffer[:]
    assert not stored["next", "done"].any()
    # observations and rewards as the environment gives them
    assert 10 < stored["agents", "history", "observation"][..., -1, 0].mean() < 40
    assert stored["next", "reward"].mean() < -10
    values, metrics = run.loss.value_estimator, read_metrics(tmp_path)
    assert values.gamma.item() == pytest.approx(0.997) and run.loss.dual_loss == "squared"
    for name in ("loss_dual", "grad_norm_dual", "grad_norm_values"):
        assert metrics[name].notna().any() and (metrics[name].dropna() > 0).all()
    assert metrics["epsilon"].iloc[-1] == pytest.approx(1 - 0.99 * frames / 120_000, abs=5e-4)


@pytest.mark.parametrize(("mixer", "clipped"), [("vdn", False), ("qmix", True), ("qtran", True)])
def test_each_mixer_learns_without(tmp_path, mixer, clipped):
    frames = 320
    run = trained(tmp_path, frames, f"mixer={mixer}", "uncertainty=contamination")
    trainer = run.trainer
    assert trainer._optim_count == (frames - 64 + 8) / 2
    assert (trainer.clip_norm is not None) == clipped
    optimizer = trainer.optimization_stepper.optimizers["values"]
    assert (type(optimizer).__name__ == "RMSprop") == (mixer == "vdn")
    assert optimizer.param_groups[0]["lr"] == (1e-3 if mixer == "qtran" else 5e-4)
    assert torch.cat([p.flatten() for p in run.agents.parameters()]).isfinite().all()


def test_a_team_acts_at_random_together_or_not_at_all(tmp_path):
    """After the first steps, which are all random."""
    cfg = compose_config(
        *("preset=released", "mixer=vdn", "uncertainty=none", "progress_bar=false", *SMALL),
        *("collector.total_frames=1600", "optim.updates_per_batch=0", "exploration.eps_init=0.5"),
        *("exploration.eps_end=0.5", "env.n_action_levels=200"),
    )
    torch.manual_seed(0)
    run, seen = trainers.build(cfg, tmp_path), []
    run.trainer.register_op("batch_process", lambda batch: seen.append(batch.clone()))
    run.train()
    steps = torch.cat(seen, 1)[0, 64:]
    greedy = run.agents(steps.select(*run.agents.in_keys).clone())["agents", "action"]
    differs = (steps["agents", "action"] != greedy).sum(-1)
    # of six random actions out of 200 one may be the greedy one
    assert set(differs.tolist()) <= {0, 5, 6}
    assert (differs > 0).float().mean().item() == pytest.approx(0.5, abs=0.06)  # sd 0.013
