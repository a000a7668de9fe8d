"""Random models have the structure that they promise, robustly."""

import pytest
import torch

from torchrl_drigm.tabular import (
    additive_decomposition,
    random_dec_pomdp,
    robust_values,
)
from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation

SETS = [
    Nominal(),
    *(Contamination(0.4, worst_value) for worst_value in (None, -1.0)),
    *(TotalVariation(0.3, worst_value) for worst_value in (None, -1.0)),
]


class TestRandomDecPOMDP:
    @pytest.mark.parametrize("structure", ["general", "additive", "monotone"])
    def test_repeatable_stochastic_ending_and_of_both_signs(self, structure):
        def draw(seed):
            return random_dec_pomdp(5, (2, 3), seed, structure=structure)

        first, again, other = draw(0), draw(0), draw(1)
        assert torch.equal(first.kernel, again.kernel) and torch.equal(first.reward, again.reward)
        assert not torch.equal(first.kernel, other.kernel)
        assert first.terminal.tolist() == [False] * 4 + [True]
        assert first.reward.min() < -0.5 and first.reward.max() > 0.5
        assert (first.kernel[:4].amax(-1) < 1).any()
        assert (first.kernel[:4, ..., 4] > 0).any()
        # Structured models too depend on the actions: robustness then changes what is best.
        assert (first.kernel[:4].flatten(1, 2).std(1) > 0.05).any()

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    @pytest.mark.parametrize("n_actions", [(3, 2), (2, 2, 2)])
    def test_additive_ones_are_additive(self, uncertainty, n_actions):
        for seed in range(5):
            model = random_dec_pomdp(5, n_actions, seed, structure="additive")
            residual = additive_decomposition(robust_values(model, uncertainty)).residual
            assert residual.max() < 1e-9

    def test_beyond_the_margin_they_are_not(self):
        tv = TotalVariation(0.6)
        residuals = [
            additive_decomposition(robust_values(model, tv)).residual.max()
            for model in (random_dec_pomdp(5, (3, 2), s, structure="additive") for s in range(5))
        ]
        assert max(residuals) > 1e-2

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    @pytest.mark.parametrize("n_actions", [(3, 3), (2, 3, 2)])
    def test_monotone_ones_rank_each_agent_alike_whatever_the_others_do(
        self, uncertainty, n_actions
    ):
        # A monotone mixer exists where an agent's order of actions is the same under all joint
        # actions of the others, and so is the order of sums: Q = alpha g(sum u) + beta.
        additive = []
        for seed in range(5):
            model = random_dec_pomdp(4, n_actions, seed, structure="monotone")
            q = robust_values(model, uncertainty)[:3]
            for agent in range(len(n_actions)):
                ranks = q.movedim(agent + 1, 1).argsort(1)
                assert (ranks.flatten(2) == ranks.flatten(2)[..., :1]).all()
            additive.append(additive_decomposition(q).residual.max())
        assert min(additive) > 1e-2

    def test_one_action_each(self):
        model = random_dec_pomdp(3, (1, 1), seed=0, structure="additive")
        assert model.n_actions == (1, 1)

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"structure": "linear"}, "structure must be one of .* got 'linear'"),
            ({"n_terminal": 2}, "at least two other states, got n_terminal=2 of n_states=3"),
            ({"n_terminal": -1}, "got n_terminal=-1"),
            ({"reward_range": (1.0, 1.0)}, r"got \(1\.0, 1\.0\)"),
            ({"margin": 0.5}, r"margin must be in \(0, 0\.5\), got 0\.5"),
        ],
    )
    def test_refuses(self, changes, message):
        with pytest.raises(ValueError, match=message):
            random_dec_pomdp(3, (2, 2), seed=0, **changes)
