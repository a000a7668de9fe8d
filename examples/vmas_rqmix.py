"""Robust QMIX on a VMAS scenario, as a plain TorchRL script: only the loss is this package's.

    python examples/vmas_rqmix.py                      robust QMIX (total variation) on navigation
    python examples/vmas_rqmix.py --rho 0              the nominal model
    python examples/vmas_rqmix.py --scenario balance --frames 400_000

Prints the mean episode return while it learns, and at the end that of the greedy team beside random
play. Returns are those of whole episodes.
"""

import argparse
import time

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl import logger as torchrl_logger
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import Compose, RewardSum, StepCounter, TransformedEnv, VmasEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import MultiAgentMLP, QMixer
from torchrl.objectives import SoftUpdate
from tqdm import tqdm

from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives import RobustQMixerLoss

ACTION, VALUES, CHOSEN = (("agents", k) for k in ("action", "action_value", "chosen_action_value"))


def team_view(tensordict):
    """State of the team: all observations side by side. Reward of the team: the sum."""
    tensordict["state"] = tensordict["agents", "observation"].flatten(-2)
    if ("agents", "reward") in tensordict.keys(True):
        tensordict["reward"] = tensordict["agents", "reward"].sum(-2)
        tensordict["episode_return"] = tensordict["agents", "episode_reward"].sum(-2)
    return tensordict


def whole_returns(env, policy, max_steps):
    """Return of every copy's first episode, from its start to its end; ``[num_envs]``."""
    steps = env.rollout(max_steps, policy, break_when_any_done=False)["next"]
    end = steps["done"].squeeze(-1).int().argmax(-1)  # the first, of max_steps steps at the latest
    return team_view(steps)["episode_return"][torch.arange(len(end)), end].squeeze(-1)


def main() -> None:
    """Train, then compare the greedy team with random play."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenario", default="navigation", help="a VMAS scenario (navigation)")
    parser.add_argument("--rho", type=float, default=0.1, help="size of the uncertainty set (0.1)")
    parser.add_argument("--worst-value", type=float, default=-1.0, help="worst return (-1)")
    parser.add_argument("--frames", type=int, default=120_000, help="environment steps (120,000)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)

    num_envs, max_steps = 60, 100
    env = VmasEnv(args.scenario, num_envs=num_envs, continuous_actions=False, seed=args.seed)
    # StepCounter's time limit is a truncation; VMAS's own max_steps would terminate.
    transforms = Compose(StepCounter(max_steps), RewardSum(in_keys=[env.reward_key]))
    env = TransformedEnv(env, transforms)
    n_agents, n_features = env.observation_spec["agents", "observation"].shape[-2:]
    n_actions = env.action_spec_unbatched[ACTION].space.n

    mlp = MultiAgentMLP(
        n_features, n_actions, n_agents, centralised=False, share_params=True, depth=2, num_cells=64
    )
    qnet = SafeSequential(
        TensorDictModule(mlp, in_keys=[("agents", "observation")], out_keys=[VALUES]),
        QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN]),
    )
    n_state = n_agents * n_features
    mixer = TensorDictModule(
        QMixer(state_shape=(n_state,), mixing_embed_dim=32, n_agents=n_agents, device="cpu"),
        in_keys=[CHOSEN, "state"],
        out_keys=["chosen_action_value"],
    )
    dual = DualNetwork(state_shape=n_state, n_agents=n_agents, n_actions=n_actions)
    loss = RobustQMixerLoss(qnet, mixer, dual_network=dual, action_space="categorical")
    loss.make_value_estimator("tv_td0", gamma=0.95, rho=args.rho, worst_value=args.worst_value)
    target = SoftUpdate(loss, tau=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=5e-4)

    greedy = EGreedyModule(env.action_spec, 1.0, 0.05, action_key=ACTION)
    collector = Collector(
        env,
        TensorDictSequential(qnet, greedy, selected_out_keys=[ACTION]),
        frames_per_batch=10 * num_envs,
        total_frames=args.frames,
        auto_register_policy_transforms=False,
    )
    replay = ReplayBuffer(storage=LazyTensorStorage(100_000), batch_size=256)
    bar = tqdm(total=args.frames, unit="step", disable=None)  # None: on a terminal only
    frames, next_line, start = 0, args.frames / 20, time.perf_counter()
    for batch in collector:
        for td in (batch, batch["next"]):
            team_view(td)
        replay.extend(batch.reshape(-1))
        for _ in range(8):
            losses = loss(replay.sample())
            (losses["loss"] + losses["loss_dual"]).backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            target.step()
        frames += batch.numel()
        bar.update(batch.numel())
        greedy.eps.copy_(max(0.05, 1.0 - 2.0 * frames / args.frames))
        if (done := batch["next", "done"]).any():
            mean = batch["next", "episode_return"][done].mean().item()
            text = f"return {mean:.2f}, loss {losses['loss'].item():.3f}"
            bar.set_description(text)
            if bar.disable and frames >= next_line:
                next_line += args.frames / 20
                speed = frames / (time.perf_counter() - start)
                left = max(args.frames - frames, 0) / speed
                print(f"{frames:,} steps, {text}, {speed:.0f} steps/s, {left:.0f} s left")
    bar.close()

    qnet.eval()
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        for name, policy in {"random play": None, "robust QMIX, greedy": qnet}.items():
            returns = whole_returns(env, policy, max_steps)
            error = returns.std() / num_envs**0.5
            print(f"{name:20s} {returns.mean():8.2f} ± {error:.2f} (return, {num_envs} episodes)")


if __name__ == "__main__":
    main()
