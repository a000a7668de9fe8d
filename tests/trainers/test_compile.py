"""``compile=true``: the same training as in eager mode, without compiling again at every step."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from tensordict import TensorDict
from torch import nn

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import (
    load_checkpoint,
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
)
from torchrl_drigm.trainers.compiled import CompiledStepper

pytestmark = [
    pytest.mark.sustaingym,
    # PyTorch's own, when its compiler is imported
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
    # and its own again, when it traces an autograd function
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]
SMALL = [
    "preset=paper",
    "env.num_envs=2",
    "env.n_action_levels=10",
    "agent.hidden_size=8",
    "agent.window=2",
    "optim.updates_per_batch=2",
    "replay.batch_size=16",
    "replay.size=64",
    "target.interval=5",
    "collector.frames_per_batch=16",
    "collector.total_frames=64",
    "collector.init_random_frames=32",
    "progress_bar=false",
]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]


def build(run_dir, *overrides):
    """A trainer that records the metrics of every update in ``trainer.recorded``."""
    cfg = compose_config(*SMALL, *overrides)
    torch.manual_seed(0)
    env = make_env(cfg)
    agents = make_agents(cfg, env)
    loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
    trainer = make_trainer(cfg, env, agents, loss, run_dir)
    step, trainer.recorded = trainer.optimization_stepper.step, []

    def record(*args):
        trainer.recorded.append(step(*args))
        return trainer.recorded[-1].clone()

    trainer.optimization_stepper.step = record
    return trainer


def doubled(value):
    return value.double() if value.is_floating_point() else value.clone()


def learn(trainer, batches):
    """Updates on the batches, the target networks following; no compilation after the first.

    In double precision: RMSprop divides small gradients by their own size, rounding errors too.
    """
    trainer.loss_module.double()
    # a single number of double precision would be traced twice
    trainer.loss_module.value_estimator.float()
    for number, batch in enumerate(batches):
        stance = "fail_on_recompile" if number >= 1 else "default"
        with torch.compiler.set_stance(stance):
            trainer.optimization_stepper.step(trainer, batch.apply(doubled))
        trainer._post_optim_hook()
    return torch.stack(trainer.recorded)


@pytest.fixture
def no_vectors():
    """For which PyTorch would first try the C++ compiler with ten sets of instructions."""
    from torch._inductor import config

    with config.patch({"cpp.simdlen": 1, "cpp.vec_isa_ok": True}):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("no_vectors")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "mixer, uncertainty, backend",
    # each mixer and each set once; C++ of one of them alone, as it takes half a minute of its own
    [
        ("qmix", "none", "aot_eager"),
        ("qtran", "tv", "aot_eager"),
        ("vdn", "contamination", "inductor"),
    ],
)
def test_same_losses_and_no_recompilation(
    tmp_path, monkeypatch, mixer, uncertainty, backend, device
):
    if device == "cpu":
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    overrides = (f"mixer={mixer}", f"uncertainty={uncertainty}", f"device={device}")
    if mixer == "qtran":  # what it draws is drawn outside of the graph
        overrides = (*overrides, "mixer.deviation_weight=0.1")
    played = build(tmp_path / "played", *overrides)
    played.train()
    batches = [played._process_optim_batch_hook(None) for _ in range(16)]
    expected = learn(build(tmp_path / "eager", *overrides), batches)
    trainer = build(tmp_path / "compiled", *overrides, "compile=true")
    losses = learn(trainer, batches)
    assert isinstance(trainer.optimization_stepper, CompiledStepper)
    assert set(losses.keys()) == set(expected.keys())
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    refuses_what_is_not_finite(trainer, batches[0].apply(doubled))
    notices_another_value(trainer, batches[0].apply(doubled))


def notices_another_value(trainer, batch):
    """It would compile anew, which is not allowed here; as it was, it need not."""
    loss = trainer.loss_module
    with torch.compiler.set_stance("fail_on_recompile"):
        for name, value in (("log_values", False), ("burn_in", 1)):
            before = getattr(loss, name)
            setattr(loss, name, value)
            with pytest.raises(RuntimeError, match="recompile"):
                trainer.optimization_stepper.step(trainer, batch.clone())
            setattr(loss, name, before)
        trainer.optimization_stepper.step(trainer, batch)


def refuses_what_is_not_finite(trainer, batch):
    """Checked on the same trainer, which is compiled."""
    batch["next", "reward"][3] = float("nan")
    before = [p.clone() for p in trainer.loss_module.parameters()]
    with pytest.raises(ValueError, match=r"'reward'\): 1 of 16"):
        trainer.optimization_stepper.step(trainer, batch)
    for parameter, value in zip(trainer.loss_module.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides, written_by, updates",
    # the first with stored next values; loaded after some updates, and before the first
    [
        (["mixer=qmix", "uncertainty=contamination"], "compile=true", 3),
        (
            ["agent.core=gru", "optim.double_dqn=true", "target.interval=null", "target.tau=0.5"],
            "compile=false",
            0,
        ),
    ],
    ids=["hard copies, LSTM", "soft copies, GRU, double"],
)
def test_checkpoints(tmp_path, monkeypatch, overrides, written_by, updates):
    """Of what is traced alone: what is made of it is compared above."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    overrides = ["uncertainty=none", "target.interval=20", *overrides]
    expected = build(tmp_path / "eager", *overrides)
    expected.train()
    first = build(tmp_path / "first", *overrides, "collector.total_frames=48", written_by)
    first.train()
    rest = torch.stack(expected.recorded)[len(first.recorded) :]
    assert len(rest) >= 2
    trainer = build(tmp_path / "second", *overrides, "compile=true")
    for _ in range(updates):
        trainer.optimization_stepper.step(trainer, first.replay_buffer.sample())
    load_checkpoint(trainer, tmp_path / "first" / "checkpoint")
    trainer.recorded.clear()
    trainer.train()
    torch.testing.assert_close(torch.stack(trainer.recorded), rest, rtol=1e-3, atol=1e-3)


def no_compiler(monkeypatch):
    from torch._inductor import cpp_builder

    def none_found():
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)


def no_graph(monkeypatch):
    def fail(*_):
        raise RuntimeError("no such thing\nat all")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)


@pytest.mark.parametrize(
    "without, told",
    [
        (no_compiler, r"needs a C\+\+ compiler .* Updates go on without"),
        (no_graph, r"\(no such thing\)\. Updates go on without"),
    ],
)
def test_goes_on_as_without(tmp_path, monkeypatch, without, told):
    overrides = ("mixer=vdn", "uncertainty=tv")
    expected = build(tmp_path / "plain", *overrides)
    expected.train()
    with monkeypatch.context() as patched:
        without(patched)
        with pytest.warns(UserWarning, match=told) as warned:
            trainer = build(tmp_path / "compiled", *overrides, "compile=true")
            trainer.train()
    assert sum("compile=true" in str(one.message) for one in warned) == 1
    assert len(trainer.recorded) == len(expected.recorded) > 1
    torch.testing.assert_close(
        torch.stack(trainer.recorded), torch.stack(expected.recorded), rtol=0, atol=0
    )


def test_many_runs_share_a_process(monkeypatch):
    """Each has compiled graphs of its own: PyTorch keeps eight for one piece of code."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    batch = TensorDict({"x": torch.ones(3)}, [3])
    for run in range(12):
        weight = nn.Parameter(torch.full((), float(run)))
        module = nn.Module()
        module.weight = weight
        module.forward = lambda batch, weight=weight: TensorDict(
            {"loss": (weight * batch["x"]).sum()}
        )
        stepper = CompiledStepper({"values": torch.optim.SGD([weight], lr=1.0)})
        trainer = SimpleNamespace(loss_module=module, clip_norm=None)
        assert stepper.step(trainer, batch)["loss"] == 3 * run
        assert weight == run - 3
