"""Examples 1 and 2 of the paper, number by number, and the script that shows the first."""

from pathlib import Path

import pytest
import torch

from torchrl_drigm.tabular import (
    additive_decomposition,
    check_drigm,
    check_igm,
    example_1,
    example_2,
    greedy_joint_actions,
    optimal_values,
    robust_individual_values,
    robust_value_iteration,
    robust_values,
)

SCRIPT = Path(__file__).parents[2] / "examples" / "drigm_counterexample.py"
S0 = 0


def choices(values):
    """The greedy joint action at s0, counted from 1 as in the paper."""
    return tuple(int(v[S0].argmax()) + 1 for v in values)


def anchor(action):
    return torch.full((5, 2), action)


@pytest.fixture(params=[0.5, 0.9])
def example(request):
    return example_1(request.param)


class TestExample1:
    def test_joint_values(self, example):
        for kernel, q in zip(example.uncertainty.kernels, example.q, strict=True):
            torch.testing.assert_close(optimal_values(example.model, kernel)[0][S0], q)
        robust = robust_values(example.model, example.uncertainty)
        torch.testing.assert_close(robust[S0], example.robust_q)
        torch.testing.assert_close(example.q.amin(0), example.robust_q)
        # The hull, where Eq. 1 holds, has the same robust values.
        hull = robust_value_iteration(example.model, example.hull).q
        torch.testing.assert_close(hull, robust)

    def test_individual_values_are_additive_under_each_kernel(self, example):
        for q, (first, second) in zip(example.q, example.individual, strict=True):
            torch.testing.assert_close(first[S0].unsqueeze(-1) + second[S0], q)

    def test_naive_values_choose_2_1_and_fail(self, example):
        for i, printed in enumerate(example.naive_values):
            smallest = torch.minimum(*[values[i] for values in example.individual])
            torch.testing.assert_close(smallest, printed)
        assert choices(example.naive_values) == (2, 1)
        found = check_drigm(example.model, example.uncertainty, example.naive_values)
        assert found.failures == ((S0, (1, 0)),)
        assert example.robust_q[1, 0] < example.robust_q.max()

    def test_naive_choice_hangs_on_constants_that_no_factorization_fixes(self, example):
        # Under P2, 1 is taken from agent 1 and given to agent 2: the same sums, another choice.
        (first_1, second_1), (first_2, second_2) = example.individual
        naive = [torch.minimum(first_1, first_2 - 1), torch.minimum(second_1, second_2 + 1)]
        assert choices(naive) == (1, 1)

    def test_printed_values_of_theorem_1_choose_1_1_or_2_2(self, example):
        assert [choices(values) for values in example.theorem_values] == [(1, 1), (2, 2)]
        for values in example.theorem_values:
            assert check_drigm(example.model, example.uncertainty, values)

    @pytest.mark.parametrize("action", [0, 1])
    def test_theorem_1_on_the_hull_gives_the_printed_values_up_to_constants(self, example, action):
        values = robust_individual_values(example.model, example.hull, joint_action=anchor(action))
        assert choices(values) == (action + 1, action + 1)
        assert check_drigm(example.model, example.uncertainty, values)
        for ours, printed in zip(values, example.theorem_values[action], strict=True):
            torch.testing.assert_close(ours[S0].diff(), printed[S0].diff())

    def test_first_robust_choice_is_the_default(self, example):
        assert choices(robust_individual_values(example.model, example.hull)) == (1, 1)

    @pytest.mark.parametrize("action", [0, 1])
    def test_theorem_1_fails_on_the_two_kernels_themselves(self, example, action):
        # Both kernels are worst at both robust-optimal joint actions. Eq. 6 with the first of them:
        # values that satisfy IGM for its joint values, and DrIGM fails.
        model, two = example.model, example.uncertainty
        values = robust_individual_values(
            model, two, lambda q, _: additive_decomposition(q).values, anchor(action)
        )
        assert check_igm(optimal_values(model, two.kernels[0])[0], values)
        assert choices(values) == (2, 1)
        assert check_drigm(model, two, values).failures == ((S0, (1, 0)),)
        # That kernel is in the hull too, and worst at the joint action there: Eq. 4 alone, without
        # the choice of the kernel that is worst everywhere, does not give Theorem 1.
        hull_q = robust_values(model, example.hull)[S0, action, action]
        torch.testing.assert_close(example.q[0, action, action], hull_q)

    def test_the_robust_values_themselves_are_not_additive(self, example):
        # 0.7 + 0.7 against 0.4 + 0.6: VDN's best fit of the robust values chooses (2, 1) too.
        fit = additive_decomposition(robust_values(example.model, example.hull))
        assert fit.residual[S0].item() == pytest.approx(0.1)
        assert choices(fit.values) == (2, 1)


class TestExample2:
    def test_values(self):
        example = example_2()
        for kernel, q in zip(example.uncertainty.kernels, example.q, strict=True):
            torch.testing.assert_close(optimal_values(example.model, kernel)[0][S0], q)
        for uncertainty in (example.uncertainty, example.hull):
            robust = robust_values(example.model, uncertainty)
            torch.testing.assert_close(robust[S0], example.robust_q)
            values = additive_decomposition(robust)
            assert values.residual.max() < 1e-9
            assert check_drigm(example.model, uncertainty, values.values)
        # P2 is the worst kernel at any joint action, and gives 0.4 for all: 0.2 per agent.
        for values in robust_individual_values(example.model, example.uncertainty):
            torch.testing.assert_close(values[S0], torch.full((2,), 0.2, dtype=torch.float64))
        # P1 is not additive: 0.7 + 0.5 against 0.4 + 1.0.
        assert additive_decomposition(example.q).residual[0].item() == pytest.approx(0.05)
        assert greedy_joint_actions(example.q).tolist() == [[1, 0], [0, 0]]


class TestScript:
    @pytest.fixture
    def run(self, python, tmp_path):
        return lambda *args: python(SCRIPT, *args, cwd=tmp_path)

    def test_prints_and_draws(self, run, tmp_path):
        done = run("--output", "pictures/example.png")
        assert done.returncode == 0, done.stderr
        rows = {line.split("  ")[1]: line for line in done.stdout.splitlines() if line[:2] == "  "}
        assert rows["robust"].split()[1:5] == ["0.70", "0.40", "0.60", "0.70"]
        assert rows["robust"].endswith("(1, 1), (2, 2)")
        assert rows["naive: own worst case each"].endswith("(2, 1)   FAILS")
        assert rows["Theorem 1, at (1, 1)"].endswith("(1, 1)   holds")
        assert rows["Theorem 1, at (2, 2)"].endswith("(2, 2)   holds")
        files = [path.name for path in (tmp_path / "pictures").iterdir()]
        assert files == ["example.png"]
        assert (tmp_path / "pictures" / "example.png").stat().st_size > 10_000

    def test_help(self, run, tmp_path):
        done = run("--help")
        assert done.returncode == 0 and "--output" in done.stdout
        assert not list(tmp_path.iterdir())
