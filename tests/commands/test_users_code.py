"""``env.make``: what is not there, and what a user's own code raises, is told by its value."""

import functools
import json
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

import torch

from tests.commands.test_refusals import TOLD, refused
from tests.cpu_time import run_python
from tests.envs.own_envs import Night
from torchrl_drigm._modules import check_path
from torchrl_drigm._users import UsersError, users_code
from torchrl_drigm.envs import MultiAgentWrapper
from torchrl_drigm.envs.transforms._available_actions import AvailableActions
from torchrl_drigm.tasks import find_task

MINE = """
import torch  # what is read off the file does not import it

LEVELS = (2, 3)

def size():
    return {}["size"]

def make_env(num_envs):
    return size()
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("def make_env(:\n")
    package = tmp_path / "team"
    package.mkdir()
    (package / "__init__.py").write_text("if True:\n    from fractions import Fraction as make\n")
    (package / "later.py").write_text("def __getattr__(name): ...\n")
    bound = b"# coding: latin-1\n# \xe9t\xe9\ndef bind():\n    global any\n    any = 1\nbind()\n"
    (package / "bound.py").write_bytes(bound)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ("no_such_module:make_env", "there is no module 'no_such_module'. Start Python where it"),
        ("mine:make_evn", r"the module 'mine' \(.*mine.py\) has no 'make_evn'. It has LEVELS, m"),
        ("mine.sub:make_env", None),
        ("team.sub:make_env", "there is no module 'team.sub'"),
        ("team:nothing", "the module 'team' .* has no 'nothing'. It has make."),
        ("broken:make_env", r".*broken.py, line 1, is no Python: "),
        ("torchrl.envs.VmasEvn", None),  # imported here, and refused when it is followed
    ],
)
def test_what_is_not_there_is_refused_without_an_import(mine, make, message):
    if message is None:
        check_path("env.make", make)
        return
    with pytest.raises(ValueError, match=rf"^env\.make='{make}': {message}"):
        refused("env=custom", f"env.make={make}", config="torchrl")


@pytest.mark.parametrize(
    "path", ["mine:make_env", "mine.LEVELS", "team:make", "team.later:any", "team.bound:any"]
)
def test_what_is_there_is_let_pass(mine, path):
    check_path("env.make", path)


def test_classes_by_their_paths_are_looked_at_too(mine):
    with pytest.raises(ValueError, match=r"^mixer\.name='mine\.Mixer': the module 'mine' "):
        refused("mixer=own", "mixer.name=mine.Mixer", config="torchrl")


def test_in_two_seconds_without_pytorch_and_without_a_folder(mine):
    words = ["train", "torchrl", "env=custom", "env.make=mine:make_evn"]
    before = sorted(mine.rglob("*"))
    done = run_python("-c", TOLD, *words, cwd=mine)
    told, imported = done.err.strip().rsplit("\n", 1)
    assert told.startswith("env.make='mine:make_evn': the module 'mine' (") and "\n" not in told
    assert (done.code, done.out, imported) == (1, "", "False")
    assert done.seconds < 2
    assert sorted(mine.rglob("*")) == before


def test_an_error_of_the_users_is_told_by_lines_of_the_users(mine, python):
    words = ["train", "torchrl", "env=custom", "env.make=mine:make_env"]
    done = python("-m", "torchrl_drigm", *words, cwd=mine)
    trace, *lines, last = done.stderr.strip().splitlines()
    assert last == "env.make='mine:make_env': what it names raised KeyError: 'size'"
    assert trace == "Traceback (most recent call last):"
    assert [line.strip() for line in lines if "File" not in line and "^" not in line] == [
        "return size()",
        'return {}["size"]',
    ]
    assert all("mine.py" in line for line in lines if "File" in line)
    assert done.returncode == 1
    assert not (mine / "runs").exists()


def within(call):
    """Call as a file of this package does."""
    code = "with users_code('env.make', 'm:f'):\n    call()"
    exec(compile(code, "<library>", "exec"), {"users_code": users_code, "call": call})


def test_what_a_library_refuses_is_told_in_its_words():
    with pytest.raises(UsersError, match=r"^env\.make='m:f': Invalid literal for Fraction") as told:
        within(functools.partial(Fraction, "moon"))
    assert told.value.trace == ""
    with pytest.raises(
        UsersError, match=r"^env\.make='m:f': what it names raised JSONDecodeError"
    ) as told:
        within(lambda: json.loads("{"))
    assert 'json.loads("{")' in told.value.trace and "decoder.py" not in told.value.trace


class Masked(Night):
    """As Night, and from a step on nobody may do anything."""

    def __init__(self, step, mask=(False,) * 3):
        super().__init__(hours=(9, 9, 9))
        self.step_of_none, self.none = step, mask

    def _masked(self, infos, step):
        if step == self.step_of_none:
            infos["cy"]["action_mask"] = np.array(self.none)
        return infos

    def reset(self, seed=None, options=None):
        seen, infos = super().reset(seed, options)
        return seen, self._masked(infos, 0)

    def step(self, actions):
        *seen, infos = super().step(actions)
        return *seen, self._masked(infos, self.hour)


class TestMasksThatAllowNothing:
    def test_at_the_first_step_before_anything_is_written(self):
        task = find_task("torchrl")(make=Masked, kwargs={"step": 0})
        message = "^env.make=.*Masked.*: agent 'cy' may take none of its 3 actions after step 0 of"
        with pytest.raises(ValueError, match=message):
            task.check()

    def test_at_a_later_step(self):
        env = MultiAgentWrapper(Masked(2))
        with pytest.raises(ValueError, match="'cy' may take none of its 3 actions after step 2 of"):
            env.rollout(4)

    def test_of_another_length(self):
        with pytest.raises(
            ValueError, match=r"'cy' has 3 actions, and its .* step 0 has 2 entries"
        ):
            MultiAgentWrapper(Masked(0, (True, True)))

    @pytest.mark.parametrize("done", [False, True])
    def test_of_environments_of_torchrl(self, done):
        from tensordict import TensorDict

        mask = torch.ones(2, 3, 4, dtype=torch.bool)
        mask[1, 2] = False
        entries = {"agents": {"action_mask": mask}, "done": torch.tensor([[False], [done]])}
        transform = AvailableActions(("agents", "action"), ("agents", "action_mask"))
        if done:
            transform._check(TensorDict(entries, [2]))
            return
        with pytest.raises(ValueError, match="agent 2 may take none of its 4 actions of an epis"):
            transform._check(TensorDict(entries, [2]))
