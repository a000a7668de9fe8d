"""Equal configs are composed once: Hydra takes a tenth of a second for each."""

import copy

import pytest

from torchrl_drigm.config import compose


@pytest.fixture(scope="session", autouse=True)
def composed_once():
    """Whoever composes has a copy of his own; an error is found anew each time."""
    hydras, known = compose.compose, {}

    def once(config, overrides):
        if any(override.startswith("hydra.searchpath") for override in overrides):
            return hydras(config, overrides=overrides)  # files that a test writes
        key = (config, *overrides)
        if key not in known:
            known[key] = hydras(config, overrides=overrides)
        return copy.deepcopy(known[key])

    compose.compose = once
    yield
    compose.compose = hydras
