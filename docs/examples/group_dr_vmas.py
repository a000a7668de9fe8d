"""GroupDR in a TorchRL script: VMAS, with packages of three masses.

Three groups of training environments differ in the package that the team carries. A model of each
group's reward is fitted on what a random team does in it; then QMIX learns, nominally, from the
lowest of the three predictions.
"""

import argparse

import torch
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer
from torchrl.envs import Compose, RewardSum, StepCounter, TransformedEnv, VmasEnv
from torchrl.modules import EGreedyModule, QValueModule, SafeSequential
from torchrl.modules.models.multiagent import MultiAgentMLP, QMixer
from torchrl.objectives import SoftUpdate

from torchrl_drigm.envs import team_env
from torchrl_drigm.envs.transforms import WorstGroupReward
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.objectives import GroupRewardLoss, RobustQMixerLoss

ACTION, VALUES, CHOSEN = (("agents", k) for k in ("action", "action_value", "chosen_action_value"))
MASSES = (1.0, 5.0, 10.0)  # of the package, one group each


def make_env(mass, num_envs, *worst_reward):
    """Copies of one group."""
    env = VmasEnv(
        "balance",
        num_envs=num_envs,
        continuous_actions=False,
        package_mass=mass,
        n_agents=3,
        seed=0,
    )
    # the return that is logged is the true one: it is summed before the reward is replaced
    tools = Compose(StepCounter(100), RewardSum(), *worst_reward)
    return TransformedEnv(team_env(env), tools, auto_unwrap=True)


def fit_reward_model(steps, num_envs=32):
    """Stage 1: what each group pays for a state and a joint action."""
    played = []
    for group, mass in enumerate(MASSES):
        data = make_env(mass, num_envs).rollout(steps, break_when_any_done=False).flatten()
        data["group"] = torch.full((len(data), 1), group)
        played.append(data.select("state", ACTION, "group", ("next", "reward")))
    data = torch.cat(played)
    sizes = data["state"].shape[-1], data[ACTION].shape[-1], 9  # state, agents, actions of each
    model = GroupRewardModel(len(MASSES), *sizes)
    model.set_scaling(data["state"], data["next", "reward"])
    replay = ReplayBuffer(storage=LazyTensorStorage(len(data)), batch_size=256)
    replay.extend(data)
    loss = GroupRewardLoss(model)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    for _ in range(10 * steps):
        fit = loss(replay.sample())["loss_reward"]
        fit.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(
        f"reward models: mean squared error {fit:.3f}, variance {data['next', 'reward'].var():.3f}"
    )
    return model


def main(frames=60_000, steps=100, num_envs=8):
    """Stage 2: nominal QMIX on the worst reward, a third of the data from each group."""
    model = fit_reward_model(steps)
    envs = [make_env(mass, num_envs, WorstGroupReward(model)) for mass in MASSES]
    env = envs[0]
    n_agents, n_features = env.observation_spec["agents", "observation"].shape[-2:]
    n_actions = env.action_spec_unbatched[ACTION].space.n
    mlp = MultiAgentMLP(
        n_features, n_actions, n_agents, centralised=False, share_params=True, depth=2, num_cells=64
    )
    qnet = SafeSequential(
        TensorDictModule(mlp, [("agents", "observation")], [VALUES]),
        QValueModule("categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, CHOSEN]),
    )
    n_state = env.observation_spec["state"].shape[-1]
    mixer = QMixer(state_shape=(n_state,), mixing_embed_dim=32, n_agents=n_agents, device="cpu")
    mixer = TensorDictModule(mixer, [CHOSEN, "state"], ["chosen_action_value"])
    loss = RobustQMixerLoss(qnet, mixer, action_space="categorical")  # nominal: no set is named
    target = SoftUpdate(loss, tau=0.01)
    optimizer = torch.optim.Adam(loss.parameters(), lr=5e-4)

    greedy = EGreedyModule(env.action_spec, 1.0, 0.05, frames // 2, action_key=ACTION)
    explore = TensorDictSequential(qnet, greedy, selected_out_keys=[ACTION])
    collectors = [
        Collector(
            e, explore, frames_per_batch=10 * num_envs, total_frames=frames // len(envs),
            auto_register_policy_transforms=False,
        )
        for e in envs
    ]  # fmt: skip
    replay = ReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=256)
    for batches in zip(*collectors, strict=True):
        for batch in batches:
            replay.extend(batch.reshape(-1))
            greedy.step(batch.numel())
        for _ in range(8):
            losses = loss(replay.sample())
            losses["loss"].backward()
            torch.nn.utils.clip_grad_norm_(loss.parameters(), 10.0)
            optimizer.step()
            optimizer.zero_grad()
            target.step()
        for mass, batch in zip(MASSES, batches, strict=True):
            if (done := batch["next", "done"]).any():
                earned = batch["next", "episode_reward"][done].mean()
                print(f"mass {mass:g}: return {earned:.2f}, loss {losses['loss']:.3f}")
    return loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60_000, help="environment steps")
    main(parser.parse_args().frames)
