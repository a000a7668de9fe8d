"""Worst expectations of CVaR, KL and χ² sets by SciPy, one program per row."""

import numpy as np
import torch
from scipy.optimize import linprog, minimize, minimize_scalar
from scipy.special import logsumexp


def cvar_program(probs, values, rho):
    """Least expectation of distributions that are nowhere above ``probs / (1 - rho)``."""
    bounds = [(0, p / (1 - rho)) for p in probs]
    return linprog(values, A_eq=np.ones((1, len(probs))), b_eq=[1.0], bounds=bounds).fun


def kl_program(probs, values, rho):
    """The classic dual of one number: sup over lam of -lam log E exp(-V / lam) - lam rho."""
    values, probs = values[probs > 0], probs[probs > 0]

    def bound(log_lam):
        lam = np.exp(log_lam)
        return lam * logsumexp(-values / lam, b=probs) + lam * rho

    found = minimize_scalar(bound, bounds=(-25, 8), method="bounded", options={"xatol": 1e-10})
    return -found.fun


def chi2_program(probs, values, rho, most=np.inf):
    """Linear cost under one quadratic and one linear constraint; densities up to ``most``."""
    values, probs = values[probs > 0], probs[probs > 0]
    root = np.sqrt(probs)  # p = probs + root * z, so that the set is the ball |z|² <= rho
    found = minimize(
        lambda z: values @ (probs + root * z),
        np.zeros_like(probs),
        jac=lambda z: values * root,
        method="SLSQP",
        bounds=[(-r, (most - 1) * r) for r in root],
        constraints=[
            {"type": "eq", "fun": lambda z: root @ z, "jac": lambda z: root},
            {"type": "ineq", "fun": lambda z: rho - z @ z, "jac": lambda z: -2 * z},
        ],
        options={"ftol": 1e-9, "maxiter": 500},
    )
    # 8: no better point was found along the line, which so close to the optimum is rounding
    assert found.status in (0, 8), found.message
    return found.fun


PROGRAMS = {"cvar": cvar_program, "kl": kl_program, "chi2": chi2_program}


def worst_expectations(kind, probs, values, rho):
    """One of each row ``[n, outcomes]`` of probabilities and values, float64 ``[n]``."""
    pairs = zip(probs.numpy(), values.numpy(), strict=True)
    found = [PROGRAMS[kind](*pair, rho) for pair in pairs]
    return torch.tensor(found, dtype=torch.float64)
