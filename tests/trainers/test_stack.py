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
from torchrl_drigm.trainers.stack import Stack, check_members, check_memory

SMALL = (
    *("env=harvest", "agent=drqn", "preset=toy", "agent.hidden_size=8", "env.num_envs=4"),
    *("collector.frames_per_batch=8", "collector.init_random_frames=16", "replay.batch_size=8"),
    *("replay.size=60", "optim.updates_per_batch=2", "progress_bar=false", "log_interval=1"),
    *("agent.share_params=false", "agent.agent_id=false", "collector.total_frames=240"),
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
    for batch in batches(stack, 50):
        losses, gradients = stack.learner.losses_and_gradients(batch)
        found = {**losses, **stack.learner.step(gradients)}
        for index, run in enumerate(alone):
            expected = run.trainer.optimization_stepper.step(run.trainer, batch[index].clone())
            run.trainer._post_optim_hook()
            assert set(expected.keys()) == set(found)
            for name, value in expected.items():
                torch.testing.assert_close(found[name][index], value, rtol=1e-6, atol=1e-9)
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
    for batch in batches(stack, 5):
        losses, gradients = stack.learner.losses_and_gradients(batch)
        found = {**losses, **stack.learner.step(gradients)}
        for index, run in enumerate(alone):
            expected = run.trainer.optimization_stepper.step(run.trainer, batch[index].clone())
            run.trainer._post_optim_hook()
            for name, value in expected.items():
                torch.testing.assert_close(found[name][index], value, rtol=1e-6, atol=1e-9)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mixer", MIXERS)
def test_on_a_gpu(tmp_path, double, mixer, compiled):
    overrides = (f"mixer={mixer}", "device=cuda")
    stack = Stack(*members(tmp_path / "stack", *overrides, f"compile={compiled}"))
    alone, _ = members(tmp_path / "alone", *overrides)
    for batch in batches(stack, 5):
        assert batch.device.type == "cuda"
        losses, gradients = stack.learner.losses_and_gradients(batch)
        found = {**losses, **stack.learner.step(gradients)}
        for index, run in enumerate(alone):
            expected = run.trainer.optimization_stepper.step(run.trainer, batch[index].clone())
            run.trainer._post_optim_hook()
            for name, value in expected.items():
                torch.testing.assert_close(found[name][index], value, rtol=1e-6, atol=1e-9)
    stack.train()
    assert stack.frames == 240 and not stack.errors


def test_an_update_may_be_compiled(tmp_path, double, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    stack = Stack(*members(tmp_path / "compiled", "mixer=vdn", "compile=true"))
    plain = Stack(*members(tmp_path / "plain", "mixer=vdn"))
    for number, batch in enumerate(batches(plain, 4)):
        expected, gradients = plain.learner.losses_and_gradients(batch)
        expected = {**expected, **plain.learner.step(gradients)}
        stance = "fail_on_recompile" if number >= 1 else "default"
        with torch.compiler.set_stance(stance):
            losses, gradients = stack.learner.losses_and_gradients(batch)
        found = {**losses, **stack.learner.step(gradients)}
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


def test_what_cannot_be_compiled_goes_on_without(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("no such thing\nat all")

    stack = Stack(*members(tmp_path, "compile=true"))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.warns(UserWarning, match=r"goes on without \(no such thing\)"):
        stack.train()
    assert stack.frames == 240


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
        ("mixer=vdn", "target.tau=null", "target.interval=7", "optim.name=rmsprop"),
    ],
    ids=["soft", "qtran, shared", "hard, rmsprop"],
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
        assert len(together.trainer.replay_buffer) == len(run.trainer.replay_buffer) == 60


def test_a_run_goes_on_from_its_checkpoint_alone_and_in_a_stack(tmp_path):
    whole = train_all(tmp_path / "whole", *RANDOM)
    train_all(tmp_path / "half", *RANDOM, "collector.total_frames=120")
    for kind in ("alone", "again"):
        shutil.copytree(tmp_path / "half", tmp_path / kind)
    runs, states = [], []
    for index, (own, size) in enumerate(zip(VARIED, SIZES, strict=True)):
        overrides = (*SETS["tv"], *RANDOM, *own, size)
        cfg = compose_config(*SMALL, *overrides, config="torchrl")
        torch.manual_seed(0)
        alone = build(
            cfg, tmp_path / "alone" / str(index), tmp_path / "alone" / f"{index}/checkpoint"
        )
        alone.train()
        assert_same(alone, whole.runs[index])
        again = tmp_path / "again" / str(index)
        runs.append(build(cfg, again, again / "checkpoint"))
        states.append(torch.get_rng_state())
    stack = Stack(runs, states)
    stack.train()
    for run, expected in zip(stack.runs, whole.runs, strict=True):
        assert_same(run, expected)


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


def test_a_run_that_diverges_ends_alone(tmp_path):
    runs, states = members(tmp_path)
    runs[1].loss.value_estimator.gamma.fill_(torch.nan)
    stack = Stack(runs, states)
    stack.train()
    assert list(stack.errors) == [1]
    assert "is not finite" in str(stack.errors[1]) or "not finite" in str(stack.errors[1])
    expected = train_all(tmp_path / "whole")
    for index in (0, 2):
        assert_same(runs[index], expected.runs[index])
        assert (runs[index].run_dir / "checkpoint").exists()
    assert not (runs[1].run_dir / "checkpoint").exists()


def test_what_the_caller_draws_stays_as_it_is(tmp_path):
    runs, states = members(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Stack(runs, states).train()
    assert torch.equal(torch.rand(3), expected)


class TestMembers:
    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (("agent.hidden_size=16",), r"differ in agent.hidden_size cannot .* at once: 8, 16\. "),
            (("env=machines",), r"differ in env\.name cannot .*'harvest', 'machines'"),
            (("mixer=vdn",), r"differ in mixer\.name cannot be computed at once"),
            (("uncertainty=cvar",), r"differ in uncertainty\.name .* -m hydra/launcher=joblib unc"),
            (("seed=0",), r"run 1 of the stack is the same as another: give each its own seed"),
        ],
    )
    def test_differences(self, overrides, message):
        cfgs = [
            compose_config(*SMALL, "uncertainty=tv", *own, config="torchrl")
            for own in ((), overrides)
        ]
        with pytest.raises(ValueError, match=message):
            check_members(cfgs)

    @pytest.mark.parametrize(
        ("config", "overrides", "message"),
        [
            ("building", ("agent=recurrent",), r"agent\.recurrent=true cannot be stacked"),
            ("building", ("uncertainty=group_dr",), r"uncertainty\.name=group_dr cannot be stack"),
            ("battles", ("agent=drqn",), r"evaluation\.interval: .* cannot be stacked"),
        ],
    )
    def test_kinds(self, config, overrides, message):
        cfgs = [compose_config(*overrides, f"seed={i}", config=config) for i in range(2)]
        with pytest.raises(ValueError, match=message):
            check_members(cfgs)

    def test_memory(self, tmp_path):
        run = member(tmp_path)
        needed = check_memory(run, 3, free=10**9)
        # two observations of two agents with 50 numbers, and states, of 60 steps of 3 runs
        assert needed > 3 * 60 * 2 * 2 * 50 * 4
        message = r"3 runs at once would take about .* free: stack no more than 1, or lower replay"
        with pytest.raises(ValueError, match=message):
            check_memory(run, 3, free=needed // 2)
