"""KL and χ² balls: exact worst cases against programs of SciPy's, and what is learned of them."""

import numpy as np
import pytest
import torch

from tests.convex_programs import chi2_program, worst_expectations
from torchrl_drigm.uncertainty import KL, ChiSquared

BALLS = pytest.mark.parametrize("cls", [KL, ChiSquared])
# of outcomes of this probability, what the definition of the learned set refers to
LEAST = 1e-2


def rows(n=24, seed=0):
    """Rows with outcomes of probability 0, with ties, and with equal values throughout."""
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    probs = probs * (torch.rand(n, 5, generator=generator) < 0.8)
    probs[:, 0] += 0.01
    probs = torch.where(probs < 5 * LEAST, 0.0, probs)  # less probable than that none is
    probs[probs.sum(-1) == 0, 0] = 1.0
    values = 3 * torch.randn(n, 5, generator=generator, dtype=torch.float64)
    values[::3] = values[::3].round()
    values[::10] = 2.0
    return probs / probs.sum(-1, keepdim=True), values


def best_learned(ball, probs, values):
    """The learned form at its best duals, by L-BFGS in double precision, ``[...]``."""
    duals = torch.zeros(*probs.shape[:-1], 1, 2, dtype=torch.float64)
    duals[..., 0] = values.mean(-1, keepdim=True)
    duals[..., 1] = values.std(-1, keepdim=True)
    duals.requires_grad_()
    optimizer = torch.optim.LBFGS([duals], max_iter=1000, line_search_fn="strong_wolfe")

    def bound():
        backup = ball.backup(values.unsqueeze(-1), duals.expand(*values.shape, 2)).squeeze(-1)
        return (probs * backup).sum(-1)

    def closure():
        optimizer.zero_grad()
        loss = -bound().sum()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    return bound().detach()


class TestExact:
    @pytest.mark.parametrize("rho", [0.01, 0.3, 1.0, 5.0, 1000.0])
    @BALLS
    def test_worst_case_is_that_of_a_program(self, cls, rho):
        probs, values = rows()
        expected = worst_expectations(cls.name, probs, values, rho)
        found = cls(rho).expectation(probs, values)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)

    @pytest.mark.parametrize(
        "ball, expected",
        [
            # 3/4 log(3/2) + 1/4 log(1/2)
            (KL(0.75 * np.log(1.5) + 0.25 * np.log(0.5)), [0.75, 0.25]),
            (KL(np.log(2.0)), [1.0, 0.0]),
            (KL(50.0), [1.0, 0.0]),
            # moving m costs 2 m² / (1/2)
            (ChiSquared(0.25), [0.75, 0.25]),
            (ChiSquared(1.0), [1.0, 0.0]),
            (ChiSquared(50.0), [1.0, 0.0]),
        ],
        ids=str,
    )
    def test_by_hand(self, ball, expected):
        half, values = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
        found = ball.worst_kernel(half, values)
        torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-6)
        assert ball.contains(half, found)
        assert ball.expectation(half, values).item() == pytest.approx(expected[1], abs=1e-6)

    @BALLS
    def test_what_is_certain_stays_certain(self, cls):
        probs, values = torch.tensor([0.0, 1.0, 0.0]), torch.tensor([-5.0, 2.0, 7.0])
        assert cls(3.0).expectation(probs, values).item() == 2.0
        assert not cls(3.0).contains(probs, torch.tensor([0.1, 0.9, 0.0]))

    @BALLS
    def test_the_whole_border_is_used_and_nothing_beyond(self, cls):
        probs, values = rows()
        probs, values = probs[values.std(-1) > 0.1], values[values.std(-1) > 0.1]
        ball, larger = cls(0.05), cls(0.06)
        worst = ball.worst_kernel(probs, values)
        several = (probs > 0).sum(-1) > 1
        torch.testing.assert_close(
            ball.divergence(probs, worst)[several], torch.full_like(probs[several, 0], 0.05)
        )
        beyond = larger.worst_kernel(probs, values)[several]
        assert not ball.contains(probs[several], beyond).any()

    @pytest.mark.parametrize("rho", [5e-324, 1e-300, 1e-31, 1e-29])
    @BALLS
    def test_the_smallest_radii_are_nominal(self, cls, rho):
        probs, values = rows()
        expected = (probs * values).sum(-1)
        torch.testing.assert_close(cls(rho).expectation(probs, values), expected)

    @pytest.mark.parametrize("size", [1e-30, 1e-6, 1e30])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @BALLS
    def test_values_of_any_size(self, cls, dtype, size):
        probs, values = (tensor.to(dtype) for tensor in rows())
        expected = cls(0.3).expectation(probs, values)
        found = cls(0.3).expectation(probs, size * values) / size
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    @BALLS
    def test_the_gradient_of_the_worst_case_is_the_worst_distribution(self, cls):
        probs = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
        values = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64, requires_grad=True)
        cls(0.2).expectation(probs, values).backward()
        torch.testing.assert_close(values.grad, cls(0.2).worst_kernel(probs, values.detach()))


class TestLearned:
    @pytest.mark.parametrize("rho", [0.02, 0.3, 1.0])
    @BALLS
    def test_the_best_duals_give_the_exact_worst_case(self, cls, rho):
        probs, values = rows()
        exact = cls(rho).expectation(probs, values)
        found = best_learned(cls(rho), probs, values)
        assert (found <= exact + 1e-6).all()
        torch.testing.assert_close(found, exact, rtol=0, atol=0.01)

    @pytest.mark.parametrize("rho", [1e-12, 0.02, 0.5, 3.0, 1e30])
    @BALLS
    def test_no_duals_give_more(self, cls, rho):
        probs, values = rows()
        exact = cls(rho).expectation(probs, values)
        generator = torch.Generator().manual_seed(0)
        duals = 4 * torch.randn(200, 24, 1, 2, generator=generator, dtype=torch.float64)
        shape = (200, *values.shape, 1)
        backup = cls(rho).backup(values.unsqueeze(-1).expand(shape), duals.expand(*shape[:-1], 2))
        assert ((backup.squeeze(-1) * probs).sum(-1) <= exact + 1e-9).all()

    def test_an_outcome_that_is_rarer_still_is_weighed_no_more(self):
        """Of probability 1e-3, the density that one of 1e-2 may have: 1 + √(ρ (1 - p) / p)."""
        probs, values = torch.tensor([[1e-3, 0.999]]).double(), torch.tensor([[-10.0, 0.0]])
        most = 1 + (0.5 * (1 - LEAST) / LEAST) ** 0.5
        found = best_learned(ChiSquared(0.5), probs, values.double())
        assert found.item() == pytest.approx(-10.0 * 1e-3 * most, abs=1e-3)
        assert ChiSquared(0.5).expectation(probs, values).item() < 2 * found.item()
        bounded = chi2_program(probs[0].numpy(), values[0].double().numpy(), 0.5, most)
        assert found.item() == pytest.approx(bounded, abs=1e-3)

    @BALLS
    def test_far_off_it_is_linear(self, cls):
        """Where eta is 1 and 2 more above the value, no exponential and no square."""
        eta = torch.tensor([[1e4], [2e4], [3e4]])
        backup = cls(0.3).backup(torch.zeros(3, 1), torch.cat([eta, torch.zeros(3, 1)], -1))
        first, second = backup.diff(dim=0).flatten().tolist()
        assert first == pytest.approx(second) and first > -1e4 / LEAST

    @BALLS
    def test_a_certain_value_is_learned(self, cls):
        """The best lam is 0 there, which no number of the network's attains."""
        ball, value = cls(0.3), torch.tensor([[3.0]])
        losses = [
            3.0 - ball.backup(value, torch.tensor([[3.0, spread]])).item()
            for spread in (0.0, -5.0, -10.0, -100.0)
        ]
        assert losses[0] > losses[1] > losses[2] > losses[3] >= 0.0
        assert losses[3] < 1e-6


SETS = [KL(1e-300), KL(1e-4), KL(0.5), KL(1e30), ChiSquared(1e-300), ChiSquared(0.2)]
SETS += [ChiSquared(1e30)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("ball", SETS, ids=str)
def test_neither_backup_nor_gradient_overflows(ball, dtype):
    sizes = [size * sign for size in (1e-30, 1e-6, 1.0, 1e6, 1e30) for sign in (1, -1)]
    sizes = torch.tensor([0.0, *sizes], dtype=dtype)
    grid = torch.cartesian_prod(sizes, sizes, sizes)
    duals = grid[:, 1:].clone().requires_grad_()
    backup = ball.backup(grid[:, :1], duals)
    backup.sum().backward()
    assert backup.isfinite().all() and duals.grad.isfinite().all()


@BALLS
def test_compiled_whole_and_mapped_over(cls):
    """Two balls that nothing has been asked of: what is learned of them is known before."""
    generator = torch.Generator().manual_seed(0)
    next_value, *duals = torch.randn(3, 4, 1, generator=generator)
    for ball in (cls(0.1234), cls(0.1234).replace(rho=0.4321)):
        inputs = (next_value, torch.cat(duals, -1))
        compiled = torch.compile(ball.backup, backend="eager", fullgraph=True)
        found = compiled(*inputs)
        torch.testing.assert_close(found, ball.backup(*inputs))
        mapped = torch.vmap(ball.backup)(*(torch.stack([x, x]) for x in inputs))
        torch.testing.assert_close(mapped, torch.stack([found, found]))
