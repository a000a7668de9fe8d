"""Runs in a stack are the runs alone: losses, gradients, parameters, random numbers, folders."""

import itertools
import shutil
from functools import partial

import pandas as pd
import pytest
import torch

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import read_metrics
from torchrl_drigm.trainers import build
from torchrl_drigm.trainers.stack import Stack

FRAMES = 72  # more than are stored
SMALL = (
    *("env=harvest", "agent=drqn", "preset=toy", "agent.hidden_size=8", "env.num_envs=4"),
    *("collector.frames_per_batch=8", "collector.init_random_frames=16", "replay.batch_size=8"),
    *("replay.size=60", "optim.updates_per_batch=2", "progress_bar=false", "log_interval=1"),
    *("agent.share_params=false", "agent.agent_id=false", f"collector.total_frames={FRAMES}"),
    "optim.lr_end_factor=0.1",
)
MIXERS = ("vdn", "qmix", "qtran")
SETS = {
    "none": ("uncertainty=none",),
    "contamination": ("uncertainty=contamination", "uncertainty.worst_value=-1"),
    "tv": ("uncertainty=tv", "uncertainty.worst_value=-1"),
    "cvar": ("uncertainty=cvar",),
    "kl": ("uncertainty=kl",),
    "chi2": ("uncertainty=chi2",),
}
# neighbours with the same set or the same learning rate, and others
VARIED = (
    ("seed=3", "optim.gamma=0.9", "optim.lr=1e-3"),
    ("seed=4", "optim.gamma=0.8", "optim.lr=1e-3"),
    ("seed=5", "optim.gamma=0.9", "optim.lr=3e-3"),
)
SIZES = ("uncertainty.rho=0.1", "uncertainty.rho=0.1", "uncertainty.rho=0.4")


def member(folder, *overrides):
    cfg = compose_config(*SMALL, *overrides, config="torchrl")
    torch.manual_seed(cfg.seed)
    return build(cfg, folder)


def members(folder, *overrides, uncertainty="tv"):
    sizes = SIZES if uncertainty != "none" else ((),) * len(SIZES)
    runs, states = [], []
    for index, (own, size) in enumerate(zip(VARIED, sizes, strict=True)):
        own = (*own, size) if size else own
        runs.append(member(folder / str(index), *SETS[uncertainty], *overrides, *own))
        states.append(torch.get_rng_state())
    return runs, states


def batches(stack, n):
    """Random transitions ``[R, B]`` in double precision, with the entries that are stored."""
    stack.replay.extend(stack.collection.next().flatten(1, 2))
    sampled = stack.replay.sample()
    generator = torch.Generator().manual_seed(0)
    for _ in range(n):
        batch = sampled.apply(
            lambda x: x.double() if x.is_floating_point() else x,
        )
        rows = torch.randint(8, batch.shape, generator=generator)
        batch = batch.apply(
            lambda x, rows=rows: torch.stack(
                [own[index] for own, index in zip(x, rows, strict=True)]
            )
        )
        shape = batch["next", "reward"].shape
        batch["next", "reward"] = torch.randn(shape, generator=generator, dtype=torch.float64)
        batch["next", "terminated"] = torch.rand(shape, generator=generator) < 0.2
        yield batch


def assert_same_updates(stack, alone, given):
    """Losses and norms of gradients on the same batches, each followed by an update."""
    for batch in given:
        found, gradients = stack.learner.losses_and_gradients(batch)
        stack.learner.step(gradients)
        for index, run in enumerate(alone):
            expected = run.trainer.optimization_stepper.step(run.trainer, batch[index].clone())
            run.trainer._post_optim_hook()
            assert set(expected.keys()) == set(found)
            for name, value in expected.items():
                torch.testing.assert_close(found[name][index], value, rtol=1e-6, atol=1e-9)


@pytest.fixture
def double():
    """Networks in double precision, in which rounding does not grow within twenty updates."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("mixer", "uncertainty"), list(itertools.product(MIXERS, SETS)), ids=lambda v: str(v)
)
def test_losses_gradients_and_parameters_are_those_of_runs_alone(
    tmp_path, double, mixer, uncertainty
):
    stack = Stack(*members(tmp_path / "stack", f"mixer={mixer}", uncertainty=uncertainty))
    alone, _ = members(tmp_path / "alone", f"mixer={mixer}", uncertainty=uncertainty)
    assert_same_updates(stack, alone, batches(stack, 16))
    for run, other in zip(stack.runs, alone, strict=True):
        expected = other.loss.state_dict()
        for name, value in run.loss.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize(
    "network",
    [
        ("agent.core=lstm", "agent.window=4"),
        ("agent.core=none", "agent.window=1"),
        ("agent.share_params=true", "agent.agent_id=true"),
    ],
    ids=["lstm", "none", "shared"],
)
@pytest.mark.parametrize("mixer", ["qmix", "qtran"])
def test_of_other_networks_too(tmp_path, double, mixer, network):
    overrides = (f"mixer={mixer}", *network)
    stack = Stack(*members(tmp_path / "stack", *overrides))
    alone, _ = members(tmp_path / "alone", *overrides)
    assert_same_updates(stack, alone, batches(stack, 5))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mixer", MIXERS)
def test_on_a_gpu(tmp_path, double, mixer, compiled):
    overrides = (f"mixer={mixer}", "device=cuda")
    stack = Stack(*members(tmp_path / "stack", *overrides, f"compile={compiled}"))
    alone, _ = members(tmp_path / "alone", *overrides)
    assert_same_updates(stack, alone, batches(stack, 5))
    assert stack.replay.sample().device.type == "cuda"
    stack.train()
    assert stack.frames == FRAMES and not stack.errors


def test_an_update_may_be_compiled(tmp_path, double, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    stack = Stack(*members(tmp_path / "compiled", "mixer=vdn", "compile=true"))
    plain = Stack(*members(tmp_path / "plain", "mixer=vdn"))
    for number, batch in enumerate(batches(plain, 4)):
        expected, gradients = plain.learner.losses_and_gradients(batch)
        plain.learner.step(gradients)
        stance = "fail_on_recompile" if number >= 1 else "default"
        with torch.compiler.set_stance(stance):
            found, gradients = stack.learner.losses_and_gradients(batch)
        stack.learner.step(gradients)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


def test_what_cannot_be_compiled_goes_on_without(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no such thing\nat all")

    stack = Stack(*members(tmp_path, "compile=true"))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.warns(UserWarning, match=r"\(no such thing\)\. Updates go on without"):
        stack.train()
    assert stack.frames == FRAMES


# what the paper's released configuration does otherwise
RELEASED = ("optim.dual_first=true", "replay.drop_last=true", "exploration.per=team")
TOGETHER = ("env=machines", "env.max_steps=5")  # episodes of all runs end together
RANDOM = ("exploration.eps_init=1", "exploration.eps_end=1")  # no rounding decides what is done


def train_all(folder, *overrides, uncertainty="tv"):
    stack = Stack(*members(folder, *overrides, uncertainty=uncertainty))
    stack.train()
    return stack


def parameters(run):
    return {k: v for k, v in run.loss.state_dict().items() if v.is_floating_point()}


def assert_same(run, other, atol=1e-5):
    expected = parameters(other)
    for name, value in parameters(run).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=atol, msg=name)


@pytest.mark.parametrize(
    "overrides",
    [
        ("mixer=qmix",),
        ("mixer=qtran", "env=machines", "agent.share_params=true", "agent.agent_id=true"),
        ("mixer=qtran", "mixer.deviation_weight=0.1", "mixer.joint_state=false"),
        ("mixer=vdn", "target.tau=null", "target.interval=7", "optim.name=rmsprop"),
        (*RELEASED, *TOGETHER),
    ],
    ids=["soft", "qtran, shared", "qtran, deviations", "hard, rmsprop", "released"],
)
def test_a_whole_run_is_the_run_alone(tmp_path, overrides):
    stack = train_all(tmp_path / "stack", *overrides, *RANDOM)
    assert not stack.errors
    alone, states = members(tmp_path / "alone", *overrides, *RANDOM)
    for run, state, together in zip(alone, states, stack.runs, strict=True):
        torch.set_rng_state(state)
        run.train()
        assert_same(together, run)
        metrics, expected = (read_metrics(one.run_dir) for one in (together, run))
        assert list(metrics) == list(expected) and len(metrics) == len(expected)
        pd.testing.assert_frame_equal(metrics, expected, rtol=1e-3, atol=1e-4)
        names = [
            sorted(str(f.relative_to(one.run_dir)) for f in one.run_dir.rglob("*"))
            for one in (together, run)
        ]
        assert names[0] == names[1]
        # what trainers hold of all that they log is no tensors
        assert not any(map(torch.is_tensor, together.trainer._log_dict["loss"]))
        assert len(together.trainer.replay_buffer) == len(run.trainer.replay_buffer) == 60


HALF = ("checkpoint_interval=50",)  # the checkpoint that is left has 56 steps


def stop(frames):
    if frames >= 64:
        raise KeyboardInterrupt


def test_a_run_goes_on_from_its_checkpoint_alone_and_in_a_stack(tmp_path):
    whole = train_all(tmp_path / "whole", *RANDOM)
    with pytest.raises(KeyboardInterrupt):
        Stack(*members(tmp_path / "half", *RANDOM, *HALF)).train(stop)
    # the first run of the stack that goes on was alone until now
    alone, states = members(tmp_path / "apart", *RANDOM, *HALF)
    torch.set_rng_state(states[0])
    alone[0].trainer.register_op("post_steps", lambda: stop(alone[0].trainer.collected_frames))
    with pytest.raises(KeyboardInterrupt):
        alone[0].train()
    for kind in ("alone", "again"):
        shutil.copytree(tmp_path / "half", tmp_path / kind)
    shutil.rmtree(tmp_path / "again/0")
    shutil.copytree(tmp_path / "apart/0", tmp_path / "again/0")
    runs, states = [], []
    for index, (own, size) in enumerate(zip(VARIED, SIZES, strict=True)):
        cfg = compose_config(*SMALL, *SETS["tv"], *RANDOM, *own, size, config="torchrl")
        for kind in ("alone", "again"):
            torch.manual_seed(0)
            place = tmp_path / kind / str(index)
            run = build(cfg, place, place / "checkpoint")
            assert run.trainer.collected_frames == 56
            if kind == "alone":
                run.train()
                assert_same(run, whole.runs[index])
            else:
                runs.append(run)
                states.append(torch.get_rng_state())
    stack = Stack(runs, states)
    stack.train()
    for run, expected in zip(stack.runs, whole.runs, strict=True):
        assert_same(run, expected)


def test_runs_that_have_ended_go_on_at_rates_of_their_own(tmp_path):
    rates = ("optim.lr_end_factor=0",)
    train_all(tmp_path, *rates, "collector.total_frames=24")
    runs = []
    for index, own in enumerate(VARIED):
        overrides = (*SETS["tv"], *own, SIZES[index], *rates)
        cfg = compose_config(*SMALL, *overrides, config="torchrl")
        place = tmp_path / str(index)
        runs.append(build(cfg, place, place / "checkpoint"))
    for run, lr in zip(runs, (1e-3, 1e-3, 3e-3), strict=True):
        group = run.trainer.optimization_stepper.optimizers["values"].param_groups[0]
        assert group["lr"] == pytest.approx(lr * (1 - 24 / FRAMES))
    learner = Stack(runs, [torch.get_rng_state()] * 3).learner
    groups = learner.optimizers["values"].param_groups
    assert [group["lr"] for group in groups] == pytest.approx([2e-3 / 3, 2e-3])


def test_nothing_is_clipped_where_no_norm_is_given(tmp_path):
    assert train_all(tmp_path, "optim.clip_norm=null", "collector.total_frames=48").frames == 48


def test_no_run_influences_another(tmp_path):
    stacks = [Stack(*members(tmp_path / str(i), "mixer=qmix")) for i in range(2)]
    for batch in batches(stacks[0], 3):
        other = batch.apply(lambda x: x.float() if x.is_floating_point() else x)
        changed = other.clone()
        changed["next", "reward"][1] = torch.nan
        changed["state"][1] = 1e30
        for stack, given in zip(stacks, (other, changed), strict=True):
            stack.learner.step(stack.learner.losses_and_gradients(given)[1])
    for index, (run, other) in enumerate(zip(stacks[0].runs, stacks[1].runs, strict=True)):
        same = all(
            torch.equal(value, parameters(other)[name]) for name, value in parameters(run).items()
        )
        assert same == (index != 1)


@pytest.mark.parametrize("diverging", [0, 1])
def test_a_run_that_diverges_ends_alone(tmp_path, diverging):
    runs, states = members(tmp_path)
    runs[diverging].loss.value_estimator.gamma.fill_(torch.nan)
    stack = Stack(runs, states)
    stack.train()
    assert list(stack.errors) == [diverging]
    assert "not finite" in str(stack.errors[diverging])
    expected = train_all(tmp_path / "whole")
    for index in {0, 1, 2} - {diverging}:
        assert_same(runs[index], expected.runs[index])
        assert (runs[index].run_dir / "checkpoint").exists()
    assert not (runs[diverging].run_dir / "checkpoint").exists()


def test_what_the_caller_draws_stays_as_it_is(tmp_path):
    runs, states = members(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Stack(runs, states).train()
    assert torch.equal(torch.rand(3), expected)
