"""An uncertainty set of one's own: the χ² ball, with two dual numbers. This file is all of it."""

from dataclasses import dataclass

import torch
from torch.nn.functional import softplus

from torchrl_drigm.uncertainty import UncertaintySet, check_radius

__all__ = ["ChiSquared"]


@dataclass(frozen=True)
class ChiSquared(UncertaintySet):
    r"""All ``P`` with :math:`\sum_{s'} (P - P^0)^2 / P^0 \le \rho`.

    Nothing is reached that the nominal model does not reach, and a next state that is certain stays
    certain: the set has no ``worst_value``.

    Args:
        rho (float): radius, 0 or larger. Above 0 the dual is attained; at 0 ``Nominal()`` is what
            you want.
    """

    rho: float

    name = "chi_squared"  # in configs, and "chi_squared_td0" in losses
    label = "χ²"  # in tables and plots
    n_duals = 2
    check_size = staticmethod(check_radius)  # a radius need not be below 1

    def backup(self, next_value, dual_value=None):
        """σ = sup over η and c > 0 of E[η - (1 + ρ) (η - V')₊² / (2 c)] - c / 2."""
        eta, c = self.duals(next_value, dual_value)
        c = softplus(c) + 1e-6  # the network's numbers may be anything
        return eta - (1 + self.rho) * (eta - next_value).relu().square() / (2 * c) - c / 2

    def worst_kernel(self, probs, values):
        """P⁰ times the density (η - V)₊ / E(η - V)₊, at the lowest η that is in the set."""
        probs, values = self.rows(probs, values)  # both [..., S'], checked
        reached = probs > 0
        lowest = torch.where(reached, values, torch.inf).amin(-1, keepdim=True)
        values = torch.where(reached, values - lowest, 0.0)
        mean = (probs * values).sum(-1, keepdim=True)
        variance = (probs * (values - mean).square()).sum(-1, keepdim=True)
        if self.rho == 0.0:
            return probs.clone()

        def at(eta):
            weights = probs * (eta - values).relu()
            total = weights.sum(-1, keepdim=True)
            return torch.where(total > 0, weights / total, probs)  # nothing to choose: P⁰

        # The divergence falls as η grows, and is at most ρ here:
        low, high = torch.zeros_like(mean), mean + (variance / self.rho).sqrt()
        for _ in range(60):
            eta = (low + high) / 2
            inside = self.divergence(probs, at(eta)) <= self.rho
            low, high = torch.where(inside, low, eta), torch.where(inside, eta, high)
        return at(high)

    def contains(self, probs, other, atol=1e-9):
        """Which rows are distributions within ρ of the nominal ones."""
        near = (self.divergence(probs, other) <= self.rho + atol).squeeze(-1)
        return self.are_distributions(probs, other, atol) & near

    @staticmethod
    def divergence(probs, other):
        """χ² of each row, ``[..., 1]``; infinite where mass comes out of nothing."""
        terms = (other - probs).square() / probs
        return torch.where(other == probs, 0.0, terms).sum(-1, keepdim=True)


if __name__ == "__main__":
    from torchrl_drigm.tabular import random_dec_pomdp, robust_value_iteration, train_against_exact

    model = random_dec_pomdp(4, (2, 2), seed=0, gamma=0.8, structure="additive")
    exact = robust_value_iteration(model, ChiSquared(rho=0.5)).q
    learned = train_against_exact(model, ChiSquared(rho=0.5), "vdn", steps=1000)
    print(f"exact robust values from {exact.min():.2f} to {exact.max():.2f}")
    print(f"learned ones are within {learned.error:.1%} of the range of values")
