"""The path of the demo: config to trainer, all mixers and sets, seeds, resuming."""

from itertools import product

import pytest
import torch
from hydra.errors import ConfigCompositionException

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl.objectives import HardUpdate, SoftUpdate

from tests.trainers.small_building import SMALL, build, config, parameters
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import read_metrics
from torchrl_drigm.trainers import build as build_run
from torchrl_drigm.trainers import (
    load_checkpoint,
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
)
from torchrl_drigm.trainers.optimizers import RMSprop

pytestmark = pytest.mark.sustaingym


@pytest.mark.parametrize("mixer", ["qmix", "qtran"])
def test_recurrent_agents_train_in_buildings_too(tmp_path, mixer):
    trainer = build(tmp_path, "agent=recurrent", f"mixer={mixer}", "agent.hidden_size=8")
    before = parameters(trainer)
    trainer.train()
    assert (parameters(trainer) != before).any()
    assert trainer.replay_buffer.sample().shape == (16, 4), "16 sequences of 16 / 4 steps"


COMBINATIONS = [
    *product(("vdn", "qmix", "qtran"), ("none", "contamination", "tv"), ("fast", "paper")),
    # which differ from "tv" in the mathematics of the set alone
    *(("vdn", "chi2", "fast"), ("qmix", "cvar", "fast"), ("qtran", "kl", "paper")),
    # which fits a reward model twice, whatever learns from it afterwards
    *(("vdn", "group_dr", "fast"), ("qmix", "group_dr", "paper"), ("qtran", "group_dr", "fast")),
]


@pytest.mark.parametrize(("mixer", "uncertainty", "preset"), COMBINATIONS)
def test_every_combination_trains_and_is_reproducible(tmp_path, mixer, uncertainty, preset):
    overrides = [f"mixer={mixer}", f"uncertainty={uncertainty}", f"preset={preset}"]
    reached = []
    for run in range(2):
        small = ("collector.total_frames=176", "log_interval=32")
        trainer = build(tmp_path / str(run), *overrides, *small)
        before = parameters(trainer)
        trainer.train()
        assert trainer._optim_count == 2 * (176 - 32 + 16) // 16
        after = parameters(trainer)
        assert after.isfinite().all() and not torch.equal(before, after)
        reached.append(after)
    assert torch.equal(*reached)
    metrics = read_metrics(tmp_path / "0")
    losses = ["loss_td", "loss_opt", "loss_nopt"] if mixer == "qtran" else ["loss"]
    losses += ["loss_dual"] if uncertainty in ("tv", "cvar", "kl", "chi2") else []
    for name in losses:
        assert metrics[name].notna().sum() >= 3
        assert metrics[name].dropna().abs().max() < float("inf")
    assert metrics["epsilon"].iloc[0] > metrics["epsilon"].iloc[-1]


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_replay_stores_each_window_once(tmp_path, preset):
    trainer = build(tmp_path, f"preset={preset}", "collector.total_frames=32")
    trainer.train()
    windows = {("agents", "history", name) for name in ("observation", "action")}
    stored = set(trainer.replay_buffer.storage[:].keys(True))
    assert windows <= stored
    assert not stored & {("next", *key) for key in windows}
    keeps_next_value = ("next", "team_value") in stored
    assert keeps_next_value == (preset == "paper")
    if not keeps_next_value:  # the loss needs them
        assert {("next", *key) for key in windows} <= set(trainer.replay_buffer.sample().keys(True))


def test_another_seed_is_another_run(tmp_path):
    reached = []
    for seed in (0, 1):
        trainer = build(tmp_path / str(seed), f"seed={seed}", "collector.total_frames=320")
        trainer.train()
        reached.append(parameters(trainer))
    assert not torch.equal(*reached)


@pytest.mark.parametrize(
    "overrides",
    [
        ["uncertainty=none"],
        ["uncertainty=tv", "replay.size=100"],  # the buffer has wrapped round
        ["uncertainty=group_dr"],
        ["agent=recurrent", "agent.hidden_size=8", "replay.size=100"],
        ["preset=paper", "uncertainty=none", "replay.size=100", "target.interval=12"],
    ],
    ids=["none", "tv", "group_dr", "sequences", "kept values"],
)
def test_resuming_equals_not_stopping(tmp_path, overrides):
    """Stop in mid-episode, resume in a new trainer, and reach the very same parameters."""
    # of days of 24 steps; a falling learning rate would be another one in a shorter run
    overrides = [*overrides, "env.time_res=3600", "optim.lr_end_factor=1", "log_interval=32"]
    whole = build(tmp_path / "whole", *overrides, "collector.total_frames=320")
    whole.train()
    first = build(tmp_path / "first", *overrides, "collector.total_frames=160")
    first.train()
    torch.manual_seed(123)  # the resumed run must not depend on where the generator is
    checkpoint = tmp_path / "first" / "checkpoint"
    second = build(
        tmp_path / "second", *overrides, "collector.total_frames=320", f"resume={checkpoint}"
    )
    load_checkpoint(second, checkpoint)
    assert second.collected_frames == 160
    second.train()
    assert second.collected_frames == whole.collected_frames
    assert second._optim_count == whole._optim_count
    assert torch.equal(parameters(second), parameters(whole))
    every, last = (
        read_metrics(tmp_path / run)["normalized_return"].dropna().tolist()
        for run in ("whole", "second")
    )
    assert last and every[-len(last) :] == last


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "overrides",
    [["uncertainty=tv"], ["agent=recurrent", "agent.hidden_size=8"], ["mixer=qtran"]],
    ids=["windows", "sequences", "qtran"],
)
def test_resuming_on_a_gpu(tmp_path, overrides):
    """A checkpoint holds all that is on the device; sums there differ in their last bits."""
    overrides = [*overrides, "device=cuda"]
    whole = build(tmp_path / "whole", *overrides)
    whole.train()
    build(tmp_path / "first", *overrides, "collector.total_frames=640").train()
    torch.manual_seed(123)
    checkpoint = tmp_path / "first" / "checkpoint"
    second = build(tmp_path / "second", *overrides, f"resume={checkpoint}")
    load_checkpoint(second, checkpoint)
    second.train()
    assert second.collected_frames == whole.collected_frames
    assert all(p.device.type == "cuda" for p in second.loss_module.parameters())
    torch.testing.assert_close(parameters(second), parameters(whole), rtol=1e-2, atol=1e-3)


class TestConfig:
    def test_unknown_field_is_an_error(self):
        with pytest.raises(ConfigCompositionException, match="learning_rate"):
            config("optim.learning_rate=1e-3")

    @pytest.mark.parametrize("group", ["mixer", "uncertainty", "preset"])
    def test_unknown_choice_is_an_error(self, group):
        with pytest.raises(Exception, match=f"Could not find '{group}/nonsense'"):
            config(f"{group}=nonsense")

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("mixer.name=qplex", r"mixer.name='qplex' must be one of \['qmix', 'qtran', 'vdn'\]"),
            ("optim.name=sgd", "optim.name='sgd' must be one of"),
            ("uncertainty.name=moon", "uncertainty.name='moon' must be one of"),
            ("evaluation.suite=climat", "suite='climat' is unknown; valid names: climate"),
            ("evaluation.suite=[{name: a, dayz: 3}]", r"'a' has \['dayz'\]"),
            ("logger=wandb", "logger='wandb' must be one of"),
            ("uncertainty.rho=1.5", r"rho must be a finite number in \[0, 1\], got 1.5"),
            ("optim.gamma=2", r"optim.gamma=2.0 must be in \[0, 1\]"),
            ("target.interval=5", "exactly one of target.interval"),
            ("env.days=[10,400]", "365"),
            ("env.building=Castle", "OfficeSmall"),
            ("env.num_envs=0", "num_envs"),
            ("agent.core=rnn", "core must be one of"),
            ("optim.lmbda=0.8", r"optim.lmbda=0.8 needs agent.recurrent=true: λ-returns go along"),
            ("optim.lmbda=1.5", r"optim.lmbda=1.5 must be a number in \[0, 1\], or null"),
            ("optim.lmbda=nan", r"optim.lmbda=nan must be a number in \[0, 1\], or null"),
        ],
    )
    def test_bad_values(self, tmp_path, override, message):
        with pytest.raises(ValueError, match=message):
            build(tmp_path, override)

    @pytest.mark.parametrize(
        ("name", "rho", "message"),
        [
            ("cvar", 1.0, r"in \[0, 1\) for CVaR, got 1.0.* essential minimum"),
            ("cvar", -0.1, r"in \[0, 1\) for CVaR, got -0.1"),
            ("kl", -0.1, "rho must be a finite number, 0 or larger, got -0.1"),
            ("chi2", "nan", "rho must be a finite number, 0 or larger, got nan"),
        ],
    )
    def test_sizes_of_sets_before_anything_is_written(self, tmp_path, name, rho, message):
        cfg = config(f"uncertainty={name}", f"uncertainty.rho={rho}")
        with pytest.raises(ValueError, match=message):
            build_run(cfg, tmp_path / "run")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("uncertainty", ["none", "contamination", "tv"])
    def test_trainers_refuse_lambda_returns_of_windows_too(self, tmp_path, uncertainty):
        """Whoever builds the loss himself comes by here."""
        cfg = config(f"uncertainty={uncertainty}")
        env = make_env(cfg)
        agents = make_agents(cfg, env)
        loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
        cfg.optim.lmbda = 0.5
        with pytest.raises(ValueError, match=r"optim.lmbda=0.5 needs agent.recurrent=true"):
            make_trainer(cfg, env, agents, loss, tmp_path)

    def test_paper_preset_repeats_the_paper(self, tmp_path):
        overrides = [o for o in SMALL if o.startswith("progress")]
        cfg = compose_config(*overrides, "preset=paper")
        trainer = make_trainer(
            cfg,
            env := make_env(cfg),
            agents := make_agents(cfg, env),
            loss := make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env)),
            tmp_path,
        )
        assert trainer.total_frames == 600 * 288
        steps_per_update = cfg.collector.frames_per_batch / cfg.optim.updates_per_batch
        assert steps_per_update == 2
        updater = trainer.target_net_updater
        assert isinstance(updater, HardUpdate)
        assert (updater.value_network_update_interval + 1) * steps_per_update == 25_000
        optimizers = trainer.optimization_stepper.optimizers
        assert isinstance(optimizers["values"], RMSprop)
        assert optimizers["values"].param_groups[0]["alpha"] == 0.99
        assert optimizers["values"].param_groups[0]["lr"] == 5e-4
        assert optimizers["dual"].param_groups[0]["betas"] == (0.9, 0.999)  # Adam
        assert optimizers["dual"].param_groups[0]["lr"] == 1e-3
        assert loss.value_estimator.gamma.item() == pytest.approx(0.997)
        assert not loss.double_dqn and loss.dual_loss == "linear"
        assert trainer.replay_buffer.storage.max_size == 10_000
        assert env.base_env.n_action_levels == 200 and env.batch_size == (1,)

    def test_soft_target(self, tmp_path):
        trainer = build(tmp_path, "target.interval=null", "target.tau=0.01")
        assert isinstance(trainer.target_net_updater, SoftUpdate)


def test_acting_follows_learning(tmp_path):
    """The collector acts with the very parameters that the optimizer moves."""
    trainer = build(tmp_path)
    policy = dict(trainer.collector.policy.named_parameters())
    learned = {p.data_ptr() for p in trainer.loss_module.local_value_network_params.parameters()}
    assert policy and {p.data_ptr() for p in policy.values()} == learned
