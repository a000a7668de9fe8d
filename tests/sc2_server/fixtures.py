"""Fixtures: the stand-in as the installed game, and environments that play in it."""

import os
import signal

import pytest

from tests.sc2_server.installation import install
from torchrl_drigm.envs.libs._smac_game import import_smac
from torchrl_drigm.envs.libs.smac import SMACEnv


@pytest.fixture
def game(tmp_path, monkeypatch):
    """The stand-in as $SC2PATH; no process of it may be left behind once environments close."""
    try:
        import_smac("This test")
    except ImportError as error:
        pytest.skip(str(error))
    installation = install(tmp_path / "StarCraftII")
    monkeypatch.setenv("SC2PATH", str(installation.path))
    # Temporary directories of the game, so that the test can see that they go.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    yield installation
    left = installation.running(10)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"game processes left behind: {left}"
    assert not list((tmp_path / "tmp").glob("sc-*"))


@pytest.fixture
def make(game):
    """Makes environments, which are closed after the test."""
    envs = []

    def make(map_name="3m", **kwargs):
        envs.append(SMACEnv(map_name, **kwargs))
        return envs[-1]

    yield make
    for env in envs:
        env.close()
