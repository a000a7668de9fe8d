"""Robust QMIX of agents with a memory, in a TorchRL script: VMAS, RecurrentDRQN, sequences."""

import argparse

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import Compose, InitTracker, RewardSum, StepCounter, TransformedEnv, VmasEnv
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer
from torchrl.objectives import SoftUpdate

from torchrl_drigm.envs import team_env
from torchrl_drigm.envs.transforms import PreviousAction
from torchrl_drigm.modules import DRQN, RecurrentDRQN
from torchrl_drigm.objectives import RobustQMixerLoss

ACTION, VALUES, CHOSEN = (("agents", k) for k in ("action", "action_value", "chosen_action_value"))


def main(frames=60_000, num_envs=32, length=25, batch_size=32):
    """Environment, networks, loss, and the loop that learns."""
    env = VmasEnv("navigation", num_envs=num_envs, continuous_actions=False, seed=0)
    # the team's reward and state; flags of first steps, and what each agent did before
    tools = Compose(StepCounter(100), RewardSum(), InitTracker(), PreviousAction())
    env = TransformedEnv(team_env(env), tools, auto_unwrap=True)
    n_agents, n_features = env.observation_spec["agents", "observation"].shape[-2:]
    n_actions = env.action_spec_unbatched[ACTION].space.n

    drqn = DRQN(n_features, n_actions, n_agents, core="gru", share_params=True, agent_id=True)
    memory = RecurrentDRQN(drqn)
    env.append_transform(memory.make_tensordict_primer())  # the state at the start of an episode
    qnet = SafeSequential(
        memory,
        QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN]),
    )
    n_state = env.observation_spec["state"].shape[-1]
    mixer = QMixer(state_shape=(n_state,), mixing_embed_dim=32, n_agents=n_agents, device="cpu")
    mixer = TensorDictModule(mixer, [CHOSEN, "state"], ["chosen_action_value"])
    loss = RobustQMixerLoss(qnet, mixer, action_space="categorical")
    loss.make_value_estimator("contamination_td0", gamma=0.95, rho=0.05, worst_value=-1.0)
    target = SoftUpdate(loss, tau=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=5e-4)

    greedy = EGreedyModule(env.action_spec, 1.0, 0.05, frames // 2, action_key=ACTION)
    explore = TensorDictSequential(qnet, greedy)  # what the memory writes is collected, too
    collector = Collector(
        env, explore, frames_per_batch=length * num_envs, total_frames=frames,
        auto_register_policy_transforms=False,
    )  # fmt: skip
    # an item is a sequence [length], with the state that its first step was in
    replay = ReplayBuffer(storage=LazyTensorStorage(2_000), batch_size=batch_size)
    for batch in collector:
        replay.extend(batch.exclude(("next", "agents", "recurrent_state")))
        for _ in range(8):
            losses = loss(replay.sample())
            losses["loss"].backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            target.step()
        greedy.step(batch.numel())
        if (done := batch["next", "done"]).any():
            earned = batch["next", "episode_reward"][done].mean()
            print(f"return {earned:.2f}, loss {losses['loss']:.3f}")
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60_000, help="environment steps")
    main(parser.parse_args().frames)
