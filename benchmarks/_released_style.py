"""The baseline of the update benchmark: one update written the way the released code is.

Own code with the habits of the released implementation, which was read for it, not a copy:

- one small network per agent in a Python list, each called in turn; one-hot previous actions
  concatenated to the observations;
- a deque of Python tuples as replay, with a list of arrays for the window of every agent, stacked
  anew for each batch, agent by agent;
- one-hot joint actions made agent by agent; QTRAN's joint network called three times, for the
  actions taken, the greedy ones, and the actions taken once more, each with a gradient, of which
  two are not used;
- the target networks' values of the next step at every update; one optimizer.

The update itself is the paper's: with total variation one dual step and one TD step on one batch,
where the released code draws a batch for each and computes the target networks' values twice.
"""

from __future__ import annotations

import copy
import random
from collections import deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

STATE_EXTRA = 4  # outdoor, ground, irradiance, occupancy


def one_hot(index: Tensor, n: int) -> Tensor:
    """``[*B]`` of any type -> float ``[*B, n]``."""
    rows = torch.zeros(index.numel(), n).scatter_(1, index.reshape(-1, 1).long(), 1.0)
    return rows.view(*index.shape, n)


class AgentNetwork(nn.Module):
    """Linear, ReLU, LSTM, ReLU, linear: one agent, over a window."""

    def __init__(self, n_features: int, n_actions: int, hidden: int) -> None:
        super().__init__()
        self.n_actions = n_actions
        self.encoder = nn.Linear(n_features + n_actions, hidden)
        self.core = nn.LSTM(hidden, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_actions)

    def forward(self, windows: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([windows, one_hot(previous, self.n_actions)], -1)
        features = self.core(relu(self.encoder(x)))[0][:, -1]
        return self.head(relu(features)), features


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
        w2 = self.w2(state).abs().unsqueeze(-1)
        return (torch.bmm(hidden, w2) + self.v(state).unsqueeze(1)).squeeze(1)


class JointNetwork(nn.Module):
    """A joint action, and the state or the sum of the agents' features, to a scalar.

    The state goes through a layer of its own; features are taken as they are.
    """

    def __init__(self, n_agents: int, n_actions: int, n_state: int | None, hidden: int) -> None:
        super().__init__()
        self.n_actions = n_actions
        self.encoder = None if n_state is None else nn.Linear(n_state, hidden)
        self.action_encoder = nn.Linear(n_agents * n_actions, hidden)
        self.head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, action: Tensor, other: Tensor | list[Tensor]) -> Tensor:
        other = torch.stack(other, 1).sum(1) if self.encoder is None else relu(self.encoder(other))
        hot = torch.cat([one_hot(agent, self.n_actions) for agent in action.unbind(1)], 1)
        return self.head(torch.cat([relu(self.action_encoder(hot)), other], 1))


class StateNetwork(nn.Module):
    """The state and the sum of the agents' features to a scalar."""

    def __init__(self, n_state: int, hidden: int) -> None:
        super().__init__()
        self.encoder, self.feature_encoder = nn.Linear(n_state, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, state: Tensor, features: list[Tensor]) -> Tensor:
        summed = relu(self.feature_encoder(torch.stack(features, 1).sum(1)))
        return self.head(torch.cat([relu(self.encoder(state)), summed], 1))


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
        networks = {"agents": self.agents}
        if mixer == "qmix":
            networks["mixer"] = self.mixer = Mixer(n_agents, n_state, 32)
        if mixer == "qtran":
            networks["joint"] = self.joint = JointNetwork(n_agents, n_actions, None, hidden)
        self.target = nn.ModuleDict(copy.deepcopy(networks))
        self.online = nn.ModuleDict(networks)
        self.parameters = list(self.online.parameters())
        if mixer == "qtran":
            self.baseline = StateNetwork(n_state, hidden)
            self.parameters += self.baseline.parameters()
        self.optimizer = optimizer(self.parameters, lr=5e-4)
        if uncertainty == "tv":
            self.dual = JointNetwork(n_agents, n_actions, n_state, hidden)
            self.dual_optimizer = torch.optim.Adam(self.dual.parameters(), lr=1e-3)
        self.replay: deque = deque(maxlen=replay_size)

    def fill(self) -> None:
        """Random transitions; those that follow each other share the arrays of their windows.

        Each is (windows, previous actions, actions, reward, next windows, next previous actions,
        end, state, next state).
        """
        rng = np.random.default_rng(0)
        n_steps = self.replay.maxlen + self.window + 1
        agents = range(self.n_agents)
        observed = rng.standard_normal((self.n_agents, n_steps, self.n_features), np.float32)
        observed = [list(steps) for steps in observed]
        acted = rng.integers(self.n_actions, size=(self.n_agents, n_steps)).tolist()
        states = list(rng.standard_normal((n_steps, self.n_agents + STATE_EXTRA), np.float32))
        for t in range(self.replay.maxlen):
            now, after = slice(t, t + self.window), slice(t + 1, t + 1 + self.window)
            self.replay.append(
                (
                    [observed[i][now] for i in agents],
                    [acted[i][now] for i in agents],
                    [acted[i][now.stop] for i in agents],
                    rng.standard_normal(),
                    [observed[i][after] for i in agents],
                    [acted[i][after] for i in agents],
                    False,
                    states[now.stop],
                    states[after.stop],
                )
            )

    def sample(self) -> tuple:
        """A batch of tensors; windows and previous actions as a list of one tensor per agent."""
        rows = random.sample(self.replay, self.batch_size)

        def stacked(field: int) -> Tensor:
            return torch.FloatTensor(np.stack([row[field] for row in rows]))

        def per_agent(field: int) -> list[Tensor]:
            return [
                torch.FloatTensor(np.stack([row[field][i] for row in rows]))
                for i in range(self.n_agents)
            ]

        action = torch.tensor([row[2] for row in rows])
        reward, end = (torch.tensor([row[k] for row in rows], dtype=torch.float) for k in (3, 6))
        now, after = (per_agent(0), per_agent(1)), (per_agent(4), per_agent(5))
        return now, stacked(7), action, reward, after, stacked(8), end

    def _values(self, agents: nn.ModuleList, windows: list[Tensor], previous: list[Tensor]):
        """Values of all actions and features, a list of one tensor per agent each."""
        outputs = [agent(*inputs) for agent, *inputs in zip(agents, windows, previous, strict=True)]
        return [values for values, _ in outputs], [features for _, features in outputs]

    def _next_value(self, after: tuple, state: Tensor) -> Tensor:
        values, features = self._values(self.target["agents"], *after)
        if self.kind == "qtran":
            greedy = torch.stack([agent.max(1)[1] for agent in values], 1)
            return self.target["joint"](greedy, features).squeeze(-1)
        best = torch.stack([agent.max(1)[0] for agent in values], 1)
        if self.kind == "qmix":
            return self.target["mixer"](best, state).squeeze(-1)
        return best.sum(1)

    def _target_value(self, state, action, reward, next_value: Tensor) -> Tensor:
        if self.uncertainty != "tv":
            rho = self.rho if self.uncertainty == "contamination" else 0.0
            return reward + self.gamma * (1 - rho) * next_value
        eta = self.dual(action, state).squeeze(-1)
        dual_loss = (relu(eta - next_value) - (1 - self.rho) * eta).mean()
        self.dual_optimizer.zero_grad()
        dual_loss.backward()
        self.dual_optimizer.step()
        with torch.no_grad():
            eta = self.dual(action, state).squeeze(-1)
            return reward + self.gamma * ((1 - self.rho) * eta - relu(eta - next_value))

    def update(self) -> Tensor:
        """Sample, losses, backward, clip, optimizers, target."""
        now, state, action, reward, after, next_state, end = self.sample()
        values, features = self._values(self.agents, *now)
        chosen = [v.gather(1, action[:, i : i + 1]).squeeze(-1) for i, v in enumerate(values)]
        chosen = torch.stack(chosen, 1)
        with torch.no_grad():
            next_value = self._next_value(after, next_state) * (1 - end)
        target = self._target_value(state, action, reward, next_value)
        if self.kind == "qtran":
            baseline = self.baseline(state, features).squeeze(-1)
            greedy = torch.stack([v.max(1)[1] for v in values], 1)
            top = torch.stack([v.max(1)[0] for v in values], 1)
            joint_value = self.joint(action, features).squeeze(-1)
            joint_top = self.joint(greedy, features).detach().squeeze(-1)
            joint_now = self.joint(action, features).detach().squeeze(-1)
            loss = (joint_value - target).square().mean()
            loss = loss + (top.sum(1) - joint_top + baseline).square().mean()
            gap = chosen.sum(1) - joint_now + baseline
            loss = loss + torch.minimum(gap, torch.zeros_like(gap)).square().mean()
        else:
            total = self.mixer(chosen, state).squeeze(-1) if self.kind == "qmix" else chosen.sum(1)
            loss = (total - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 10.0)
        self.optimizer.step()
        self.updates += 1
        if self.updates % self.target_interval == 0:
            self.target.load_state_dict(self.online.state_dict())
        return loss.detach()
