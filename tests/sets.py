"""Sets of one's own that tests of several parts share."""

from dataclasses import dataclass

import torch

from torchrl_drigm.uncertainty import UncertaintySet


@dataclass(frozen=True)
class LowestShare(UncertaintySet):
    """Mean of the lowest ``1 - rho`` of the outcomes: no outcome's odds grow beyond 1/(1 - rho)."""

    rho: float = 0.0

    label = "lowest share"
    n_duals = 1

    def backup(self, next_value, dual_value=None):
        (eta,) = self.duals(next_value, dual_value)
        return eta - (eta - next_value).relu() / (1.0 - self.rho)

    def worst_kernel(self, probs, values):
        probs, values = self.rows(probs, values)
        order = values.argsort(-1)
        mass = probs.gather(-1, order)
        kept = (1.0 - self.rho - (mass.cumsum(-1) - mass)).clamp_min(0.0).minimum(mass)
        return torch.zeros_like(probs).scatter(-1, order, kept / (1.0 - self.rho))

    def contains(self, probs, other, atol=1e-9):
        inside = (other <= probs / (1.0 - self.rho) + atol).all(-1)
        return self.are_distributions(probs, other, atol) & inside
