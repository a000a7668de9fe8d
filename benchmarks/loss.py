"""RobustQMixerLoss against TorchRL's QMixerLoss, forward and backward, interleaved.

    python benchmarks/loss.py              # half a minute
    python benchmarks/loss.py --full       # 300 repetitions
    python benchmarks/loss.py --own        # networks of a user's own: TorchRL's MultiAgentMLP

The same networks (copies of them) on the same batch, in the paper's configuration: 6 unshared
agents, batch 64, window 8, 200 actions, LSTM of 64, QMIX; with --own six agents of one perceptron
on 256 random transitions. No optimizer, no target update. Prints
the ratio to TorchRL's loss first; backward is the whole call less the forward pass, by medians.
Below it, what the dual network of total variation takes alone. Last the arithmetic limit, as in
benchmarks/update.py.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import warnings
from collections.abc import Callable

import torch
from _timing import (
    MatrixProduct,
    Table,
    count_flops,
    interleaved,
    limit,
    print_header,
    ratios,
    show,
)
from _training import build_trainer, compose_config
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl import logger as torchrl_logger
from torchrl.modules import MultiAgentMLP, QMixer, QValueModule
from torchrl.objectives import LossModule
from torchrl.objectives.multiagent import QMixerLoss

from torchrl_drigm.envs.transforms import NextHistory
from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives import RobustQMixerLoss
from torchrl_drigm.objectives.value import tv_dual_objective
from torchrl_drigm.trainers import make_agents, make_dual, make_env, make_mixer

TORCHRL = "QMixerLoss"
CHOSEN = "chosen_action_value"
GAMMA = 0.997
ESTIMATORS = {
    "RobustQMixerLoss, rho = 0": ("contamination_td0", {"rho": 0.0}),
    "contamination": ("contamination_td0", {"rho": 0.02}),
    "total variation": ("tv_td0", {"rho": 0.2}),
    "CVaR": ("cvar_td0", {"rho": 0.2}),
}
WITHOUT_DUAL = "contamination_td0"
N_AGENTS, N_ACTIONS, N_SEEN, N_STATE, BATCH = 6, 20, 32, 24, 256  # of networks of a user's own
DUAL = "  dual network alone"


def paper_batch() -> TensorDictBase:
    """A batch from the replay buffer of a run that has just begun."""
    cfg = compose_config("preset=paper", "uncertainty=none", "collector.total_frames=512")
    with tempfile.TemporaryDirectory() as run_dir:
        trainer = build_trainer(cfg, run_dir)
        trainer.train()
    batch = NextHistory()(trainer._process_optim_batch_hook(None))
    return batch.exclude(("next", "team_value"))  # both losses are to compute it


def own_batch() -> TensorDictBase:
    """Random transitions, of the sizes of a small battle."""

    def step() -> dict:
        agents = {"observation": torch.randn(BATCH, N_AGENTS, N_SEEN)}
        return {"agents": agents, "state": torch.randn(BATCH, N_STATE)}

    flags = {name: torch.rand(BATCH, 1) < 0.05 for name in ("done", "terminated")}
    following = {**step(), **flags, "reward": torch.randn(BATCH, 1)}
    batch = TensorDict({**step(), "next": following}, [BATCH])
    batch["agents", "action"] = torch.randint(N_ACTIONS, (BATCH, N_AGENTS))
    return batch


def own_networks() -> tuple[nn.Module, nn.Module, DualNetwork]:
    """Agents and mixer of TorchRL, as in its QMIX example, and a dual network."""
    sizes = {"n_agents": N_AGENTS, "centralized": False, "share_params": True}
    mlp = MultiAgentMLP(N_SEEN, N_ACTIONS, depth=2, num_cells=64, **sizes)
    agents = TensorDictSequential(
        TensorDictModule(
            mlp, in_keys=[("agents", "observation")], out_keys=[("agents", "action_value")]
        ),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=[("agents", name) for name in ("action", "action_value", CHOSEN)],
        ),
    )
    mixer = TensorDictModule(
        QMixer((N_STATE,), mixing_embed_dim=32, n_agents=N_AGENTS, device="cpu"),
        in_keys=[("agents", CHOSEN), "state"],
        out_keys=[CHOSEN],
    )
    dual = DualNetwork(
        state_shape=(N_STATE,), n_agents=N_AGENTS, n_actions=N_ACTIONS, hidden_size=64
    )
    return agents, mixer, dual


def paper_networks() -> tuple[nn.Module, nn.Module, DualNetwork]:
    """Those of the paper's configuration."""
    cfg = compose_config("preset=paper", "uncertainty=tv")
    env = make_env(cfg)
    return make_agents(cfg, env), make_mixer(cfg, env)["mixer"], make_dual(cfg, env)


def make_losses(own: bool) -> tuple[dict[str, LossModule], DualNetwork]:
    """Every loss on its own copy of the same networks."""
    agents, mixer, dual = own_networks() if own else paper_networks()

    def networks():
        return copy.deepcopy(agents), copy.deepcopy(mixer)

    losses = {TORCHRL: QMixerLoss(*networks(), action_space="categorical")}
    losses[TORCHRL].make_value_estimator(gamma=GAMMA)
    for name, (estimator, hyper) in ESTIMATORS.items():
        loss = RobustQMixerLoss(
            *networks(),
            dual_network=None if estimator == WITHOUT_DUAL else copy.deepcopy(dual),
            action_space="categorical",
        )
        loss.make_value_estimator(estimator, gamma=GAMMA, **hyper)
        losses[name] = loss
    return losses, dual


def call_of(loss: LossModule, batch: TensorDictBase, backward: bool) -> Callable[[], None]:
    """Forward, or forward and backward, of one loss."""
    parameters = list(loss.parameters())

    def call() -> None:
        losses = loss(batch.clone(recurse=False))
        if backward:
            sum(value for key, value in losses.items() if key.startswith("loss")).backward()
            for parameter in parameters:
                parameter.grad = None

    return call


def dual_call(dual: DualNetwork, batch: TensorDictBase) -> Callable[[], None]:
    """The dual network, its loss (Eq. 17) and its backward pass, on given next values."""
    state, action = batch["state"], batch["agents", "action"]
    next_value = torch.randn(*batch.shape, 1)

    def call() -> None:
        dual.zero_grad()
        tv_dual_objective(next_value, dual(state, action), 0.2).mean().backward()

    return call


def main() -> None:
    """Time every loss and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=50, help="calls of each (50)")
    parser.add_argument("--full", action="store_true", help="300 calls of each")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch threads (1)")
    parser.add_argument("--own", action="store_true", help="on networks of a user's own")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    warnings.filterwarnings("ignore", message="No target network updater")
    torch.set_num_threads(args.threads)
    print_header("One loss, forward and backward, ms: RobustQMixerLoss / TorchRL's QMixerLoss")

    batch = own_batch() if args.own else paper_batch()
    losses, dual = make_losses(args.own)
    product = MatrixProduct()
    calls = {name: call_of(loss, batch, True) for name, loss in losses.items()}
    calls[DUAL] = dual_call(dual, batch)
    forwards = {(name, "forward"): call_of(loss, batch, False) for name, loss in losses.items()}
    times = interleaved(
        {**calls, **forwards, "product": product}, 300 if args.full else args.repeats
    )
    throughput = product.throughput(times["product"])

    table = Table(
        {
            "loss": 28,
            "ratio": 20,
            "ms": 24,
            "forward": 9,
            "backward": 10,
            "MFLOP": 8,
            "limit": 8,
            "ms / limit": 12,
        }
    )
    for name, call in calls.items():
        forward = backward = "-"
        if name in losses:
            forward = 1e3 * statistics.median(times[name, "forward"])
            backward = f"{1e3 * statistics.median(times[name]) - forward:.2f}"
            forward = f"{forward:.2f}"
        flops = count_flops(call)
        table.row(
            name,
            show(ratios(times[name], times[TORCHRL])),
            show(times[name], scale=1e3),
            forward,
            backward,
            f"{flops / 1e6:.0f}",
            *limit(flops, throughput, times[name]),
        )
    print(f"\nlimit: at {throughput / 1e9:.0f} GFLOP/s, the throughput of the largest product")


if __name__ == "__main__":
    main()
