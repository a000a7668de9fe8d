"""Robust QTRAN in a TorchRL script: VMAS, three networks, a dual network, single steps."""

import argparse

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import Compose, RewardSum, StepCounter, TransformedEnv, VmasEnv
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import MultiAgentMLP
from torchrl.objectives import SoftUpdate

from torchrl_drigm.envs import team_env
from torchrl_drigm.modules import DualNetwork, QTRANJointValue, QTRANStateValue
from torchrl_drigm.objectives import RobustQTRANLoss

ACTION, VALUES, CHOSEN = (("agents", k) for k in ("action", "action_value", "chosen_action_value"))


def main(frames=60_000, num_envs=32):
    """Environment, networks, loss, and the loop that learns."""
    env = VmasEnv("navigation", num_envs=num_envs, continuous_actions=False, seed=0)
    tools = Compose(StepCounter(100), RewardSum())
    env = TransformedEnv(team_env(env), tools, auto_unwrap=True)
    n_agents, n_features = env.observation_spec["agents", "observation"].shape[-2:]
    n_actions = env.action_spec_unbatched[ACTION].space.n
    n_state = env.observation_spec["state"].shape[-1]

    mlp = MultiAgentMLP(
        n_features, n_actions, n_agents, centralised=False, share_params=True, depth=2, num_cells=64
    )
    qnet = SafeSequential(
        TensorDictModule(mlp, [("agents", "observation")], [VALUES]),
        QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN]),
    )
    # the team's value of any joint action, and of the state: what the agents' values are tied to
    joint = QTRANJointValue(n_state, n_agents, n_actions)
    joint = TensorDictModule(joint, ["state", ACTION], ["joint_action_value"])
    value = TensorDictModule(QTRANStateValue(n_state), ["state"], ["state_value"])
    dual = DualNetwork(state_shape=n_state, n_agents=n_agents, n_actions=n_actions)
    loss = RobustQTRANLoss(qnet, joint, value, dual_network=dual)
    loss.make_value_estimator("cvar_td0", gamma=0.95, rho=0.2)
    target = SoftUpdate(loss, tau=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)

    greedy = EGreedyModule(env.action_spec, 1.0, 0.05, frames // 2, action_key=ACTION)
    explore = TensorDictSequential(qnet, greedy, selected_out_keys=[ACTION])
    collector = Collector(
        env, explore, frames_per_batch=10 * num_envs, total_frames=frames,
        auto_register_policy_transforms=False,
    )  # fmt: skip
    replay = ReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=256)
    for batch in collector:
        replay.extend(batch.reshape(-1))
        for _ in range(8):
            losses = loss(replay.sample())
            # Eq. 16 with its two constraints, Eq. 12 and 13, and Eq. 17
            terms = ("loss_td", "loss_opt", "loss_nopt", "loss_dual")
            sum(losses[term] for term in terms).backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            target.step()
        greedy.step(batch.numel())
        if (done := batch["next", "done"]).any():
            earned = batch["next", "episode_reward"][done].mean()
            print(f"return {earned:.2f}, " + ", ".join(f"{t} {losses[t]:.3f}" for t in terms))
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60_000, help="environment steps")
    main(parser.parse_args().frames)
