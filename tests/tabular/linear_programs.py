"""Robust value iteration in NumPy, with a linear program for every worst case."""

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron


def worst_expectations(nominal, values, kind, rho):
    """Worst expectations, one linear program per row: ``nominal`` and ``values`` are [rows, n].

    All rows go to the solver as one block-diagonal program. The variables of a row are the
    adversary's distribution p (for contamination nu) and, for total variation, t >= |p - p0|.
    """
    rows, n = nominal.shape
    eye, one, zero = np.eye(n), np.ones((1, n)), np.zeros((1, n))

    def per_row(block):
        return kron(eye_array(rows), csr_array(block))

    if kind == "contamination":
        # min over nu of (1 - rho) p0 V + rho nu V
        cost, a_ub, b_ub, a_eq = rho * values, None, None, one
        constant = (1 - rho) * (nominal * values).sum()
    else:
        # p - t <= p0, -p - t <= -p0, sum(t) <= 2 rho
        cost = np.concatenate([values, np.zeros_like(values)], 1)
        a_ub = np.block([[eye, -eye], [-eye, -eye], [zero, one]])
        b_ub = np.concatenate([nominal, -nominal, np.full((rows, 1), 2 * rho)], 1).ravel()
        a_ub, a_eq, constant = per_row(a_ub), np.hstack([one, zero]), 0.0
    solution = linprog(
        cost.ravel(),
        A_ub=a_ub,
        b_ub=b_ub,
        A_eq=per_row(a_eq),
        b_eq=np.ones(rows),
        method="highs",
        options={
            "presolve": False,
            "primal_feasibility_tolerance": 1e-10,
            "dual_feasibility_tolerance": 1e-10,
        },
    )
    assert solution.status == 0, solution.message
    chosen = solution.x.reshape(rows, -1)[:, :n]
    if kind == "contamination":
        chosen = (1 - rho) * nominal + rho * chosen
        assert np.isclose((chosen * values).sum(), solution.fun + constant)
    return (chosen * values).sum(1)


def numpy_value_iteration(models, kind, rho, worst_value, iterations, start=None):
    """Plain value iteration over a list of models of one shape, two agents, in NumPy."""
    kernel = np.stack([m.kernel.numpy() for m in models])  # [M, S, A1, A2, S']
    reward = np.stack([m.reward.numpy() for m in models])
    alive = ~np.stack([m.terminal.numpy() for m in models])
    gamma = np.array([m.gamma for m in models]).reshape(-1, 1, 1, 1)
    if worst_value is not None:
        kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:-1], 1))], -1)
    q = np.zeros_like(reward) if start is None else start
    acting = np.broadcast_to(alive[:, :, None, None], reward.shape)
    for _ in range(iterations):
        v = q.max((2, 3)) * alive
        if worst_value is not None:
            v = np.concatenate([v, np.full((len(models), 1), worst_value)], 1)
        values = np.broadcast_to(v[:, None, None, None], kernel.shape)
        sigma = np.zeros_like(reward)
        sigma[acting] = worst_expectations(kernel[acting], values[acting], kind, rho)
        q = (reward + gamma * sigma) * acting
    return q
