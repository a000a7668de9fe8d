"""StarCraft battles from config to trainer, on SMAX."""

import shutil

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')

from tests.trainers.small_battles import build, config, parameters
from torchrl_drigm import trainers
from torchrl_drigm.evaluation import evaluate, plot_noise_levels, read_metrics
from torchrl_drigm.objectives.value import RobustTDLambda
from torchrl_drigm.tasks import play
from torchrl_drigm.trainers import battle_seeds, load_checkpoint, load_team

pytestmark = pytest.mark.smax
WON = {"won": ("info", "battle_won")}


@pytest.mark.parametrize("uncertainty", ["none", "contamination", "tv"])
@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
def test_every_combination_trains_and_is_tested(tmp_path, mixer, uncertainty):
    trainer = build(tmp_path, f"mixer={mixer}", f"uncertainty={uncertainty}")
    estimator = trainer.loss_module.value_estimator
    assert isinstance(estimator, RobustTDLambda) and estimator.lmbda.item() == pytest.approx(0.8)
    before = parameters(trainer)
    trainer.train()
    assert (parameters(trainer) != before).any()
    metrics = read_metrics(tmp_path).dropna(subset="win_rate_clean")
    # every 100 frames in batches of 64: the first batch that reaches 100, 200
    assert metrics["frames"].tolist() == [128, 256]
    assert (
        metrics[["win_rate_clean", "win_rate_noisy"]].isin([0, 0.25, 0.5, 0.75, 1]).to_numpy().all()
    )


def test_windows_and_one_step_targets_train_too(tmp_path):
    build(tmp_path / "a", "agent=drqn", "agent.window=2", "optim.lmbda=null").train()
    build(tmp_path / "b", "optim.lmbda=null").train()


def test_a_resumed_run_is_the_run_itself(tmp_path):
    whole = build(tmp_path / "whole", "uncertainty=tv")
    whole.train()
    half = build(tmp_path / "half", "uncertainty=tv", "collector.total_frames=128")
    half.train()
    rest = build(tmp_path / "rest", "uncertainty=tv")
    load_checkpoint(rest, tmp_path / "half" / "checkpoint")
    rest.train()
    torch.testing.assert_close(parameters(rest), parameters(whole), rtol=0, atol=0)
    late = [read_metrics(tmp_path / name).query("frames > 128") for name in ("whole", "rest")]
    pd.testing.assert_frame_equal(*(m.reset_index(drop=True) for m in late))


def test_exploration_never_takes_an_unavailable_action(tmp_path):
    many = ["env.num_envs=16", "collector.frames_per_batch=2048", "replay.size=400"]
    overrides = ["exploration.eps_end=0.5", "collector.total_frames=4096", *many]
    trainer = build(tmp_path, *overrides)
    taken = 0
    for batch in trainer.collector:
        agents = batch["agents"]
        assert agents["action_mask"].gather(-1, agents["action"].unsqueeze(-1)).all()
        taken += agents["action"].numel()
    assert taken >= 12_000


def test_noise_moves_observations_but_not_battles(tmp_path):
    trainer = build(tmp_path, "evaluation.visible_only=false")
    hook = trainer._modules["evaluate_battles"]
    clean, noisy = hook.envs["clean"], hook.envs["noisy"]
    seen = []
    for env in (clean, noisy):
        env.set_seed(3)
        seen.append(env.reset())
    torch.testing.assert_close(seen[0]["state"], seen[1]["state"])
    assert (seen[0]["agents", "observation"] != seen[1]["agents", "observation"]).any()


def test_evaluation_repeats_its_battles_and_leaves_the_generator_alone(tmp_path):
    trainer = build(tmp_path)
    hook = trainer._modules["evaluate_battles"]
    trainer.collected_frames = 150
    state = torch.get_rng_state()
    first = hook(None)
    assert hook(None) is None, "the next one is due at 200"
    hook.load_state_dict({"next": 100})
    assert hook(None) == first
    assert torch.equal(torch.get_rng_state(), state)


class TestPlay:
    def test_rows_are_the_first_battle_of_every_copy(self, tmp_path):
        env = build(tmp_path)._modules["evaluate_battles"].envs["clean"]
        stop = 4  # a mask always has it

        def policy(td):
            td.set(
                ("agents", "action"),
                torch.full(env.full_action_spec["agents", "action"].shape, stop),
            )
            return td

        env.set_seed(0)
        battles = play(policy, env, 8, metrics=WON)
        assert battles["episode"].tolist() == list(range(8))
        assert not battles["won"].any()
        env.set_seed(0)
        rollout = env.rollout(101, policy, break_when_any_done=False)
        for copy in range(4):
            end = rollout["next", "done"][copy].flatten().nonzero()[0].item()
            assert battles["steps"][copy] == end + 1
            expected = rollout["next", "reward"][copy, : end + 1].sum().item()
            assert battles["return"][copy] == pytest.approx(expected)

    def test_refusals(self, tmp_path):
        env = build(tmp_path)._modules["evaluate_battles"].envs["clean"]
        with pytest.raises(ValueError, match="multiple of the environment's 4 copies"):
            play(env.rand_action, env, 6)
        with pytest.raises(ValueError, match="have not ended after max_steps=2"):
            play(env.rand_action, env, 4, max_steps=2)


def test_noise_levels_of_a_trained_team(tmp_path):
    trainer = build(tmp_path, "mixer=vdn", "uncertainty=none")
    OmegaConf.save(config("mixer=vdn", "uncertainty=none"), tmp_path / "config.yaml")
    trainer.train()
    suite = [{"name": "clean"}, {"name": "noisy", "noise_std": 0.75}]
    battles = evaluate(load_team(tmp_path), suite=suite, episodes=4, seed=5)
    assert battles["shift"].tolist() == ["clean"] * 4 + ["noisy"] * 4
    with pytest.warns(DeprecationWarning, match="play_noise_levels is deprecated"):
        levels = trainers.play_noise_levels(tmp_path, [0.0, 0.75], episodes=4, seed=5)
    assert levels["std"].tolist() == [0.0] * 4 + [0.75] * 4
    assert levels["return"].tolist() == battles["return"].tolist(), "no noise is noise of 0"
    # without noise they are those of the team itself
    env = trainer._modules["evaluate_battles"].envs["clean"]
    env.set_seed(*battle_seeds("test", 5))
    own = play(trainer._modules["evaluate_battles"].policy, env, 4, metrics=WON)
    clean = battles[battles["shift"] == "clean"]
    pd.testing.assert_frame_equal(clean[list(own)], own)
    shutil.copytree(tmp_path, damaged := tmp_path.with_name("damaged"))
    file = next(damaged.glob("checkpoint/components/*-loss_module/state/tensor_00000003.memmap"))
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ValueError, match=r"it is damaged \(the content of .*tensor_00000003"):
        load_team(damaged)
    runs = [levels.groupby("std")["won"].mean().reset_index().assign(run="a", method="VDN")]
    plot = plot_noise_levels(pd.concat(runs), tmp_path / "levels.png")
    assert plot.stat().st_size > 10_000


INTERVAL = ("evaluation.interval=200", "collector.total_frames=448")


@pytest.mark.parametrize("log_interval", [10, 200, 201, 10_000])
def test_every_evaluation_is_logged(tmp_path, log_interval):
    """At equal intervals the second one came 192 frames after the first, which is too soon."""
    trainer = build(tmp_path, f"log_interval={log_interval}", *INTERVAL)
    trainer.train()
    played = trainer._log_dict["win_rate_clean"]
    logged = read_metrics(tmp_path).dropna(subset="win_rate_clean")
    assert logged["frames"].tolist() == [256, 448] and len(played) == 2
    assert logged["win_rate_clean"].tolist() == played
    assert logged["win_rate_noisy"].tolist() == trainer._log_dict["win_rate_noisy"]


def test_a_run_shorter_than_an_interval_is_evaluated_at_its_end(tmp_path):
    build(tmp_path, "evaluation.interval=10_000").train()
    logged = read_metrics(tmp_path).dropna(subset="win_rate_clean")
    assert logged["frames"].tolist() == [256]


def test_group_dr_is_for_buildings(tmp_path):
    with pytest.raises(ValueError, match="is for buildings"):
        build(tmp_path, "uncertainty=group_dr")
