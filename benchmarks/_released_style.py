"""The baseline of the update benchmark: one update written the way the released code is.

Own code, after the description of the released implementation, not a copy of it: one small network
per agent in a Python list, each called in turn; one-hot previous actions concatenated to the
observations; a deque of Python tuples as replay, stacked anew for every batch; one optimizer.
"""

from __future__ import annotations

import copy
import random
from collections import deque

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

STATE_EXTRA = 4  # outdoor, ground, irradiance, occupancy


class AgentNetwork(nn.Module):
    """Linear, ReLU, LSTM, ReLU, linear: one agent, over a window."""

    def __init__(self, n_features: int, n_actions: int, hidden: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(n_features + n_actions, hidden)
        self.core = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_actions)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = relu(self.core(relu(self.encoder(x)))[0][:, -1])
        return self.head(features), features


class Mixer(nn.Module):
    """QMIX's monotone mixing network with its hypernetworks."""

    def __init__(self, n_agents: int, n_state: int, embed: int) -> None:
        super().__init__()
        self.n_agents, self.embed = n_agents, embed
        self.w1, self.b1 = nn.Linear(n_state, n_agents * embed), nn.Linear(n_state, embed)
        self.w2 = nn.Linear(n_state, embed)
        self.v = nn.Sequential(nn.Linear(n_state, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        w1 = self.w1(state).abs().view(-1, self.n_agents, self.embed)
        hidden = nn.functional.elu(torch.bmm(values.unsqueeze(1), w1) + self.b1(state).unsqueeze(1))
        return (hidden * self.w2(state).abs().unsqueeze(1)).sum(-1) + self.v(state)


class Joint(nn.Module):
    """Several inputs, such as the state and the concatenated one-hot joint action, to a scalar."""

    def __init__(self, sizes: list[int], hidden: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.Linear(size, hidden) for size in sizes)
        self.head = nn.Sequential(
            nn.Linear(len(sizes) * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        encoded = [relu(encode(x)) for encode, x in zip(self.encoders, inputs, strict=True)]
        return self.head(torch.cat(encoded, -1))


class ReleasedStyle:
    """Replay and update of one algorithm, with the paper's sizes."""

    def __init__(
        self,
        mixer: str,
        uncertainty: str,
        n_agents: int = 6,
        n_actions: int = 200,
        n_features: int = 5,
        window: int = 8,
        hidden: int = 64,
        batch_size: int = 64,
        gamma: float = 0.997,
        rho: float = 0.1,
        target_interval: int = 12_500,
        replay_size: int = 10_000,
        optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    ) -> None:
        self.kind, self.uncertainty = mixer, uncertainty
        self.n_agents, self.n_actions, self.n_features = n_agents, n_actions, n_features
        self.window, self.batch_size, self.gamma, self.rho = window, batch_size, gamma, rho
        self.target_interval, self.updates = target_interval, 0
        n_state = n_agents + STATE_EXTRA
        self.agents = nn.ModuleList(
            AgentNetwork(n_features, n_actions, hidden) for _ in range(n_agents)
        )
        networks = [self.agents]
        self.mixer = Mixer(n_agents, n_state, 32) if mixer == "qmix" else None
        if self.mixer is not None:
            networks.append(self.mixer)
        if mixer == "qtran":
            self.joint = Joint([n_state, n_agents * n_actions, hidden], hidden)
            self.baseline = Joint([n_state, hidden], hidden)
            networks += [self.joint, self.baseline]
            self.target_joint = copy.deepcopy(self.joint)
        self.target_agents = copy.deepcopy(self.agents)
        self.target_mixer = copy.deepcopy(self.mixer)
        self.parameters = [p for network in networks for p in network.parameters()]
        self.optimizer = optimizer(self.parameters, lr=5e-4)
        if uncertainty == "tv":
            self.dual = Joint([n_state, n_agents * n_actions], hidden)
            self.dual_optimizer = torch.optim.Adam(self.dual.parameters(), lr=1e-3)
        self.replay: deque = deque(maxlen=replay_size)

    def fill(self) -> None:
        """Random transitions: (windows, state, action, reward, next windows, next state, end)."""
        for _ in range(self.replay.maxlen):
            steps = [
                (
                    torch.randn(self.n_agents, self.window, self.n_features),
                    torch.randint(self.n_actions, (self.n_agents, self.window)),
                    torch.randn(self.n_agents + STATE_EXTRA),
                )
                for _ in range(2)
            ]
            action = torch.randint(self.n_actions, (self.n_agents,))
            self.replay.append((*steps[0], action, torch.randn(1), *steps[1], torch.zeros(1)))

    def _one_hot(self, action: Tensor) -> Tensor:
        """All agents' actions side by side."""
        return one_hot(action, self.n_actions).float().flatten(1)

    def _values(self, agents: nn.ModuleList, windows: Tensor, previous: Tensor):
        values, features = [], []
        for i, agent in enumerate(agents):
            hot = one_hot(previous[:, i], self.n_actions).float()
            q, feature = agent(torch.cat([windows[:, i], hot], -1))
            values.append(q)
            features.append(feature)
        return torch.stack(values, 1), torch.stack(features, 1)

    def update(self) -> Tensor:
        """Sample, losses, backward, clip, optimizers, target."""
        batch = [
            torch.stack(column)
            for column in zip(*random.sample(self.replay, self.batch_size), strict=True)
        ]
        obs, prev, state, action, reward, next_obs, next_prev, next_state, end = batch
        values, features = self._values(self.agents, obs, prev)
        chosen = values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            next_values, next_features = self._values(self.target_agents, next_obs, next_prev)
            best, greedy = next_values.max(-1)
            if self.kind == "qtran":
                next_value = self.target_joint(
                    next_state, self._one_hot(greedy), next_features.sum(1)
                )
            elif self.kind == "qmix":
                next_value = self.target_mixer(best, next_state)
            else:
                next_value = best.sum(-1, keepdim=True)
            next_value = next_value * (1 - end)
        if self.uncertainty == "tv":
            joint = self._one_hot(action)
            eta = self.dual(state, joint)
            dual_loss = (relu(eta - next_value) - (1 - self.rho) * eta).mean()
            self.dual_optimizer.zero_grad()
            dual_loss.backward()
            self.dual_optimizer.step()
            with torch.no_grad():
                eta = self.dual(state, joint)
                target = reward + self.gamma * ((1 - self.rho) * eta - relu(eta - next_value))
        else:
            rho = self.rho if self.uncertainty == "contamination" else 0.0
            target = reward + self.gamma * (1 - rho) * next_value
        if self.kind == "qtran":
            features = features.sum(1)
            joint_value = self.joint(state, self._one_hot(action), features)
            baseline = self.baseline(state, features)
            top, now = values.max(-1)
            with torch.no_grad():
                joint_top = self.joint(state, self._one_hot(now), features)
            loss = (joint_value - target).square().mean()
            loss = loss + (top.sum(-1, keepdim=True) - joint_top + baseline).square().mean()
            gap = chosen.sum(-1, keepdim=True) - joint_value.detach() + baseline
            loss = loss + gap.clamp_max(0).square().mean()
        else:
            total = (
                self.mixer(chosen, state) if self.kind == "qmix" else chosen.sum(-1, keepdim=True)
            )
            loss = (total - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 10.0)
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.target_interval == 0:
            self.target_agents.load_state_dict(self.agents.state_dict())
            if self.mixer is not None:
                self.target_mixer.load_state_dict(self.mixer.state_dict())
            if self.kind == "qtran":
                self.target_joint.load_state_dict(self.joint.state_dict())
        return loss.detach()
