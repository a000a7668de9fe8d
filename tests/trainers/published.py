"""Folders laid out as the published ones, and networks of their kind in plain PyTorch."""

import torch
from torch import nn

N_AGENTS, N_FEATURES, N_ACTIONS, WINDOW = 6, 5, 200, 8
NAME = "robust_qmix_g_rho_0.2_20250918_010857"


class Network(nn.Module):
    """One agent: windows ``[B, W, 5]`` and actions in ones and zeros ``[B, W, 200]`` to values."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(N_FEATURES + N_ACTIONS, 64)
        self.lstm = nn.LSTM(64, 64, batch_first=True)
        self.fc_out = nn.Linear(64, N_ACTIONS)

    def forward(self, observation, action):
        inputs = torch.cat([observation, nn.functional.one_hot(action, N_ACTIONS).float()], -1)
        return self.fc_out(self.lstm(self.fc1(inputs).relu())[0][:, -1].relu())


def networks(seed=0):
    """Six networks whose values differ by more than rounding."""
    torch.manual_seed(seed)
    return [Network() for _ in range(N_AGENTS)]


def write(folder, made):
    """A folder as it was published."""
    parameters = folder / "network_parameter"
    parameters.mkdir(parents=True)
    for agent, network in enumerate(made):
        torch.save(network.state_dict(), parameters / f"agent_{agent}_q_network.pt")
    (folder / "results.pkl").write_bytes(b"not read")
    return folder
