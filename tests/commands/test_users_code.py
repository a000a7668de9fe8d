"""``env.make``: what is not there, and what a user's own code raises, is told by its value."""

import functools
import json
from fractions import Fraction

import pytest

pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from tests.commands.test_refusals import TOLD, refused
from tests.cpu_time import run_python
from torchrl_drigm.__main__ import main
from torchrl_drigm._modules import check_path
from torchrl_drigm._users import UsersError, noting, users_code
from torchrl_drigm.commands import evaluate, train

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


def test_a_message_of_several_lines_ends_in_the_line_with_the_field_and_its_note():
    def fails():
        with noting("step 2 of an episode"):
            raise KeyError("wind\nspeed")

    with pytest.raises(UsersError) as told:
        within(fails)
    last = "env.make='m:f': what it names raised KeyError: 'wind\\nspeed'. That was in step 2 of an"
    assert str(told.value) == f"{last} episode."
    with pytest.raises(UsersError, match=r"^env.make='m:f': .* RuntimeError: one two\. That was"):
        within(lambda: fails_with(RuntimeError("one\ntwo.")))


def fails_with(error):
    with noting("a reset"):
        raise error


class TestOnTheCommandLine:
    def error(self, *_):
        error = UsersError("env.make='mine:make_env': what it names raised KeyError: 'wind'")
        error.trace = "Traceback\n  a line of the user's\n"
        raise error

    @pytest.mark.parametrize("mode", [RunMode.RUN, RunMode.MULTIRUN])
    def test_train_prints_the_lines_and_a_sweep_goes_on(self, mode, monkeypatch, capsys):
        monkeypatch.setattr(train, "_train", self.error)
        monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"mode": mode}))
        with pytest.raises(SystemExit if mode == RunMode.RUN else UsersError):
            train.train(None)
        printed = capsys.readouterr().err
        if mode == RunMode.RUN:
            assert printed.splitlines()[1:] == [
                "  a line of the user's",
                "env.make='mine:make_env': what it names raised KeyError: 'wind'",
            ]

    def test_others_print_them_too(self, monkeypatch, capsys):
        monkeypatch.setattr(evaluate, "main", self.error)
        with pytest.raises(SystemExit):
            main(["evaluate", "run"])
        assert "  a line of the user's\nevaluate: env.make='mine:" in capsys.readouterr().err
