"""IGM, DrIGM and QTRAN checks; Theorem 2 on random instances; Theorem 1's construction."""

import pytest
import torch
from torchrl.modules.models.multiagent import QMixer

from torchrl_drigm.tabular import (
    FactorizationCheck,
    additive_decomposition,
    anchored_decomposition,
    check_drigm,
    check_igm,
    check_qtran_condition,
    greedy_joint_actions,
    random_dec_pomdp,
    robust_individual_values,
    robust_values,
)
from torchrl_drigm.uncertainty import TotalVariation, make_set

SHAPES = [(3, 4), (2, 3, 3)]
SETS = [
    make_set(kind, rho=0.25, worst_value=worst_value)
    for kind in ("contamination", "tv")
    for worst_value in (None, -2.0)
]


def random_values(seed, shape, n_states=20, ties=False):
    """Individual values [S, A_i]; with ties, small integers."""
    generator = torch.Generator().manual_seed(seed)
    values = [torch.randn(n_states, n, generator=generator, dtype=torch.float64) for n in shape]
    return [v.round() for v in values] if ties else values


def joint_index(shape):
    return torch.cartesian_prod(*[torch.arange(n) for n in shape]).reshape(-1, len(shape))


def total(values):
    """Sum over agents, [S, A_1, ..., A_N], one joint action at a time."""
    shape = [v.shape[1] for v in values]
    columns = [
        sum(v[:, a] for v, a in zip(values, action, strict=True)) for action in joint_index(shape)
    ]
    return torch.stack(columns, -1).reshape(-1, *shape)


def mixed(values, seed):
    """The same through TorchRL's QMIX mixer with random weights: monotone in each agent's value."""
    torch.manual_seed(seed)
    n_states, shape = len(values[0]), [v.shape[1] for v in values]
    mixer = QMixer((n_states,), 8, len(values), "cpu").double()
    index = joint_index(shape)  # [A, N]
    chosen = torch.stack([v[:, index[:, i]] for i, v in enumerate(values)], -1)  # [S, A, N]
    state = torch.eye(n_states, dtype=torch.float64).unsqueeze(1).expand(-1, len(index), -1)
    with torch.no_grad():
        q = mixer(chosen.unsqueeze(-1).contiguous(), state.contiguous())
    return q.reshape(n_states, *shape)


class TestTheorem2:
    @pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_vdn_and_qmix_factorizations_satisfy_igm(self, shape, ties):
        for seed in range(5):
            values = random_values(seed, shape, ties=ties)
            assert check_igm(total(values), values)
            assert check_igm(mixed(values, seed), values)

    def test_values_that_are_not_the_mixers_do_not(self):
        values, others = random_values(0, (3, 4)), random_values(1, (3, 4))
        assert not check_igm(total(values), others)
        assert not check_igm(mixed(values, 0), others)

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    @pytest.mark.parametrize("structure", ["additive", "monotone"])
    def test_in_robust_models(self, structure, uncertainty):
        # Eq. 6 end to end: worst kernel, its optimal joint values, their decomposition.
        for seed in range(5):
            model = random_dec_pomdp(4, (3, 2), seed, structure=structure)
            values = robust_individual_values(model, uncertainty)
            assert check_drigm(model, uncertainty, values)
            if structure == "additive":
                q = robust_values(model, uncertainty)
                torch.testing.assert_close(total(values), q, rtol=0, atol=1e-8)
                fit = robust_individual_values(
                    model, uncertainty, lambda q, _: additive_decomposition(q).values
                )
                assert check_drigm(model, uncertainty, fit)
                assert check_qtran_condition(q, values, atol=1e-7)

    @pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_qtran_factorizations_satisfy_igm(self, shape, ties):
        # Joint values below the sum of individual ones, but at every greedy joint action on it.
        for seed in range(5):
            values = random_values(seed, shape, ties=ties)
            q = total(values)
            best = q.flatten(1).amax(1).reshape(-1, *[1] * len(shape))
            dent = torch.rand(q.shape, generator=torch.Generator().manual_seed(seed))
            q = torch.where(q >= best - 1e-9, q, q - dent) + 3.0
            assert additive_decomposition(q).residual.max() > 0.05
            assert check_qtran_condition(q, values)
            assert check_igm(q, values)

    def test_violation_of_qtrans_condition_is_found(self):
        # V = 5 - 3 = 2, slack = sum - Q + V. (2, 1) has 0 + 1 - 4 + 2 = -1, the one violation.
        # IGM holds all the same: the condition is sufficient, not necessary.
        q = torch.tensor([[[5.0, 1.0], [4.0, 0.0]]])
        values = [torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])]
        found = check_qtran_condition(q, values)
        assert not found and found.failures == ((0, (1, 0)),) and found.states == (0,)
        assert check_igm(q, values)
        # Greedy (1, 1) is not the best joint action: slack 3 - 5 + (9 - 3) = 4 there.
        q[0, 1, 1] = 9.0
        assert check_qtran_condition(q, values).failures == ((0, (0, 0)), (0, (1, 1)))
        assert check_igm(q, values).failures == ((0, (0, 0)),)

    def test_qtrans_condition_at_every_tied_action(self):
        # All-zero values: with the equality asked of (1, 1) alone they would pass, IGM fails.
        q = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        zeros = [torch.zeros(1, 2)] * 2
        assert check_qtran_condition(q, zeros).failures == ((0, (0, 1)), (0, (1, 0)))

    def test_violations_in_a_robust_model(self):
        # General models have no such factorization from least squares: the checker finds it.
        found = []
        for seed in range(5):
            q = robust_values(random_dec_pomdp(4, (3, 3), seed), TotalVariation(0.2))
            found.append(check_qtran_condition(q, additive_decomposition(q).values))
        assert not any(found)
        assert all(3 not in check.states for check in found)  # terminal: all values are 0


class TestCheckIGM:
    def test_ties_are_sets(self):
        q = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]] * 2)
        first = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        second = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
        # State 0: all four combinations, (2, 2) fails. State 1: (1, 1) and (1, 2), both best.
        found = check_igm(q, [first, second])
        assert found.failures == ((0, (1, 1)),) and found.states == (0,) and not found.holds
        assert check_igm(q[1:], [first[1:], second[1:]]) == FactorizationCheck(())

    def test_tolerance(self):
        q = torch.tensor([[[1.0, 0.995], [0.995, 0.99]]])
        values = [torch.tensor([[0.5, 0.495]])] * 2
        assert check_igm(q, values)  # no ties at the default
        assert check_igm(q, values, atol=0.00501)  # all tie, and up to twice that is lost
        zeros = [torch.zeros(1, 2)] * 2
        assert check_igm(q, zeros).failures == ((0, (0, 1)), (0, (1, 0)), (0, (1, 1)))

    def test_actions_almost_as_good_are_greedy_too(self):
        q = torch.tensor([[[1.0, 0.0], [0.0, -1.0]]])
        values = [torch.tensor([[1.0, 1.0 - 1e-4]]), torch.tensor([[1.0, 0.0]])]
        for check, failure in ((check_igm, (1, 0)), (check_qtran_condition, (1, 0))):
            assert check(q, values, atol=1e-5)
            assert check(q, values, atol=1e-3).failures == ((0, failure),)

    def test_drigm_is_igm_for_robust_values(self):
        model, tv = random_dec_pomdp(4, (3, 3), seed=0), TotalVariation(0.3)
        values = random_values(0, (3, 3), n_states=4)
        assert check_drigm(model, tv, values) == check_igm(robust_values(model, tv), values)

    @pytest.mark.parametrize("check", [check_igm, check_qtran_condition])
    def test_refuses(self, check):
        q, values = torch.zeros(2, 3, 4), [torch.zeros(2, 3), torch.zeros(2, 4)]
        assert check(q, values)
        with pytest.raises(ValueError, match=r"one \[S, A_i\] per agent, got q_joint \[2, 3, 4\]"):
            check(q, values[:1])
        with pytest.raises(ValueError, match=r"individual_values \[\[2, 4\], \[2, 3\]\]"):
            check(q, values[::-1])
        with pytest.raises(ValueError, match=r"q_joint \[2\] and individual_values \[\]"):
            check(torch.zeros(2), [])
        with pytest.raises(ValueError, match="q_joint must be finite, got 24 entries"):
            check(q * torch.nan, values)
        with pytest.raises(ValueError, match=r"individual_values\[1\] must be finite, got 8"):
            check(q, [values[0], values[1] - torch.inf])


class TestDecompositions:
    @pytest.mark.parametrize("shape", [(3,), *SHAPES])
    def test_exact_where_additive(self, shape):
        values = random_values(3, shape)
        q = total(values)
        fit = additive_decomposition(q)
        assert fit.residual.max() < 1e-12
        torch.testing.assert_close(total(fit.values), q)
        anchored = anchored_decomposition(q, greedy_joint_actions(q))
        torch.testing.assert_close(total(anchored), q)

    def test_least_squares(self):
        generator = torch.Generator().manual_seed(0)
        q = torch.randn(1, 2, 3, 2, generator=generator, dtype=torch.float64)
        index = joint_index((2, 3, 2))
        design = torch.cat(
            [torch.nn.functional.one_hot(index[:, i], n) for i, n in enumerate((2, 3, 2))], 1
        ).double()
        solution = torch.linalg.lstsq(design, q.reshape(-1, 1), driver="gelsd").solution
        fit = additive_decomposition(q)
        torch.testing.assert_close(total(fit.values).reshape(-1, 1), design @ solution)
        left = design @ solution - q.reshape(-1, 1)
        assert fit.residual.item() == pytest.approx(left.abs().max().item())
        assert len({round(v.mean().item(), 12) for v in fit.values}) == 1

    @pytest.mark.parametrize("shape", SHAPES)
    def test_anchored_values_satisfy_igm_for_any_joint_values(self, shape):
        q = torch.randn(50, *shape, generator=torch.Generator().manual_seed(0))
        best = greedy_joint_actions(q)
        values = anchored_decomposition(q, best)
        assert check_igm(q, values)
        pairs = zip(values, best.split(1, -1), strict=True)
        at_best = sum(v.gather(1, action).squeeze(-1) for v, action in pairs)
        torch.testing.assert_close(at_best, q.flatten(1).amax(1))


class TestTheorem1:
    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_general_models(self, uncertainty):
        for seed in range(5):
            model = random_dec_pomdp(4, (2, 2, 2), seed)
            q = robust_values(model, uncertainty)
            values = robust_individual_values(model, uncertainty)
            assert check_drigm(model, uncertainty, values)
            # The worst kernel's values are the robust ones.
            expected = anchored_decomposition(q, greedy_joint_actions(q))
            for ours, theirs in zip(values, expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)

    def test_refuses(self):
        model, tv = random_dec_pomdp(4, (2, 2), seed=0), TotalVariation(0.2)
        greedy = greedy_joint_actions(robust_values(model, tv))
        with pytest.raises(ValueError, match=r"must be \[S, N\] = \[4, 2\], got \[4\]"):
            robust_individual_values(model, tv, joint_action=greedy[:, 0])
        greedy[1] = 1 - greedy[1]
        with pytest.raises(ValueError, match="must be greedy for the robust values; in state 1"):
            robust_individual_values(model, tv, joint_action=greedy)
