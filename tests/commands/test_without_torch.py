"""What a command is asked for is refused without PyTorch, which takes seconds to import."""

import json
import os
import sys
from importlib.util import find_spec

import pytest
from omegaconf import OmegaConf

from tests.cpu_time import run_python
from torchrl_drigm.__main__ import COMMANDS
from torchrl_drigm.config import compose_config

if sys.platform == "win32":
    pytest.skip("cases are forks of one process: run on Linux or macOS", allow_module_level=True)

# Each case in a fork of a process that has refused the first ones already: what they import, which
# is no PyTorch either, is imported once.
CODE = """if True:
    import contextlib, io, json, os, sys
    import torchrl_drigm.__main__ as program
    for words in json.load(open("first.json")):
        with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            program.main(words)
    assert "torch" not in sys.modules
    for number, words in enumerate(json.load(open("cases.json"))):
        if not os.fork():
            sys.stderr, sys.stdout = io.StringIO(), io.StringIO()
            try:
                program.main(words)
                code = 0
            except SystemExit as end:
                code = end.code
            told = {"code": code, "err": sys.stderr.getvalue(), "out": sys.stdout.getvalue()}
            told["torch"] = "torch" in sys.modules
            json.dump(told, open(f"told/{number}.json", "w"))
            os._exit(0)
        os.wait()
"""
SWEEP = ("choose", "building", "uncertainty=tv", "uncertainty.rho=0.1,0.3")
SHIFTED = ("evaluate", "run", "--suite")

# what is typed, and what it is refused with
CASES = [
    (("evaluate", "nowhere"), "no config.yaml in nowhere: name the folder of a run"),
    (("evaluate", "bare"), "no checkpoint at bare/checkpoint: the run was stopped before"),
    (("evaluate", "newer"), "has version='99.0', and this is torchrl_drigm"),
    (("evaluate", "torn"), "config.yaml cannot be read"),
    (("evaluate", "released"), "lacks agent_0_q_network.pt"),
    (("evaluate", "run", "--episodes", "0"), "--episodes=0 must be at least 1"),
    (("evaluate", "run", "--seed", "-1"), "--seed=-1 must be at least 0"),
    (("evaluate", "run", "--seed", "4294967296"), "--seed=4294967296 must be below 2**32."),
    (("evaluate", "run", "--jobs", "0"), "--jobs=0 must be at least 1"),
    (("evaluate", "run", "--device", "gpu"), "--device='gpu' must be cpu, cuda"),
    (("evaluate", "run", "--controls"), "has not made its collector.total_frames="),
    (("evaluate", "nominal", "--controls"), "uncertainty.name='none' has no controls"),
    (("evaluate", "run", "--climates", "Paris"), "--climates=Paris is none: name WEATHER,LOCATION"),
    (("evaluate", "run", "--days", "1:400"), "days=(1, 400) must be (lo, hi) with 0 <= lo < hi"),
    (("evaluate", "run", "--days", "soon"), "--days=soon is no range LO:HI"),
    (("evaluate", "harvest", "--days", "1:4"), "--days=1:4: the task 'harvest' has no days"),
    ((*SHIFTED, "climat"), "suite='climat' is unknown; valid names: climate, "),
    ((*SHIFTED, "nowhere.yaml"), "suite='nowhere.yaml': there is no such file"),
    ((*SHIFTED, "broken.yaml"), "suite='broken.yaml', line 2 cannot be read"),
    ((*SHIFTED, "days.yaml"), "shift 'late': days=[300, 400] must be (lo, hi)"),
    ((*SHIFTED, "word.yaml"), "shift 'wind' has ['wind'], which the task 'building' does not"),
    ((*SHIFTED, "epw.yaml"), "shift 'cut': cut.epw"),
    ((*SHIFTED, "weak.yaml"), "shift 'weak': heating_power=-1 must be a finite number, a factor"),
    (
        (*SHIFTED, "deaf.yaml"),
        "shift 'deaf': dropped_readings=2 must be a finite number, in [0, 1]",
    ),
    ((*SHIFTED, "torn.yaml"), "shift 'torn': failures: rate=3 must be a finite number, in [0, 1]"),
    ((*SHIFTED, "mild.yaml"), "shift 'mild': severity=2 is a factor on what is random in the nom"),
    ((*SHIFTED, "three.yaml"), "shift 0 has name=3, which is no text: quote it, name: '3'."),
    (("evaluate", "own"), "env.make='cranes:make_env' names a module that has not been imported"),
    (("export", "own"), "on the command line --import cranes."),
    (("evaluate", "own", "--import", "cranes"), "in the folder that holds cranes.py, or put that"),
    ((*SHIFTED, "place.yaml"), "shift 'far': climates: location='Gotham' is unknown"),
    (("evaluate", "run", "--out", "rows.png"), "--out=rows.png must be a folder or a file *.csv"),
    (("evaluate", "run", "--out", "notes"), "notes is a file. Name a folder"),
    (("evaluate", "run", "--out", "notes/rows.csv"), "notes is a file. Name a folder"),
    (("evaluate", "run", "--out", "folder.csv"), "--out=folder.csv is a folder: name a folder"),
    (("evaluate", "run", "--out", "/proc/mine"), "/proc/mine cannot be written into"),
    (("choose", "bilding", "a=1,2"), "'bilding' is no config; there are: battles"),
    (("choose", "mine", "a=1,2", "--config-dir", "nowhere"), "--config-dir=nowhere: there is no"),
    (SWEEP[:3], "one field must have several values to choose from"),
    ((*SWEEP, "optim.gama=0.9"), "gama"),
    ((*SWEEP[:3], "uncertainty.rho=0.1,1.5"), "uncertainty.rho=1.5 must be in [0, 1]"),
    ((*SWEEP, "env.building=Castle"), "env.building='Castle' is unknown"),
    ((*SWEEP, "--validate", "climat"), "suite='climat' is unknown"),
    ((*SWEEP, "--validate", "climate"), "'env_1' is 'env_1' of the test suite 'climate'. What is"),
    (
        (*SWEEP, "uncertainty.rho=0.2"),
        "uncertainty.rho is given twice, uncertainty.rho=0.1,0.3 and",
    ),
    ((*SWEEP, "--validate", "broken.yaml"), "suite='broken.yaml', line 2 cannot be read"),
    (("choose", "torchrl", "optim.lr=1,2"), "env.name='torchrl' has no suite 'validation'"),
    ((*SWEEP, "--episodes", "0"), "--episodes=0 must be at least 1"),
    ((*SWEEP, "--episode-seed", "-2"), "--episode-seed=-2 must be at least 0"),
    ((*SWEEP, "--jobs", "0"), "--jobs=0 must be at least 1"),
    ((*SWEEP, "--score", "best"), "invalid choice: 'best'"),
    ((*SWEEP, "--out", "x.png"), "--out=x.png must be a folder."),
    ((*SWEEP, "--out", "notes"), "notes is a file"),
    ((*SWEEP, "--out", "swept"), "swept holds another sweep. Differing: config"),
    (("compare", "nowhere"), "no config.yaml and no evaluation.csv below nowhere"),
    (("compare", "copied"), "no config.yaml below copied: what a run is, it says. Name folders of"),
    (("compare", "run", "--last", "0"), "--last=0 must be at least 1"),
    (("compare", "run", "--out", "x.csv"), "--out=x.csv must be a folder."),
    (("compare", "run", "--win-rates", "--out", "notes"), "notes is a file"),
    (("export", "nowhere"), "no config.yaml in nowhere"),
    (("export", "newer"), "has version='99.0', and this is torchrl_drigm"),
    (("export", "bare", "--keep", "policy"), "no checkpoint at bare/checkpoint"),
    (("export", "run", "--out", "a.txt"), "must be a folder or a file *.pt2 or a file *.onnx"),
    (("export", "run", "--out", "folder.pt2"), "--out=folder.pt2 is a folder"),
    (("export", "run", "--out", "notes"), "notes is a file"),
    (("export", "run", "--keep", "policy", "--out", "swept"), "is not an empty folder"),
    (("export", "run", "--keep", "policy", "--out", "a.pt2"), "--out=a.pt2 must be a folder."),
    (("reproduce", "--part", "winter"), "invalid choice: 'winter'"),
    (("reproduce", "--protocol", "other"), "invalid choice: 'other'"),
    (("reproduce", "--part", "physics", "--protocol", "strict"), "is of the parts season"),
    (("reproduce", "--preset", "slow"), "invalid choice: 'slow'"),
    (("reproduce", "--seeds", "0"), "--seeds=0 must be at least 1"),
    (("reproduce", "--episodes", "-3"), "--episodes=-3 must be at least 1"),
    (("reproduce", "--jobs", "0"), "--jobs=0 must be at least 1"),
    (("reproduce", "--set", "seed=3"), "--set seed=3: the plan itself sets"),
    (("reproduce", "--set", "env.moon=3"), "env.moon is no field: those there are"),
    (("reproduce", "--published", "nowhere"), "no network_parameter below nowhere"),
    (("reproduce", "--published", "published"), "lacks agent_0_q_network.pt"),
    (("reproduce", "--part", "battles", "--mixers", "qtran"), "nothing is left to train"),
    (("reproduce", "--out", "x.png"), "--out=x.png must be a folder."),
    (("reproduce", "--out", "notes/below"), "notes is a file"),
    (("reproduce", "--out", "reproduced"), "what is in reproduced has preset='paper'"),
]
# a run that has its results; what Hydra would write beside them is left out
DONE = ("train", "building", "hydra.run.dir=done", "hydra.output_subdir=null")
DONE = (*DONE, "hydra/job_logging=disabled", "hydra/hydra_logging=disabled")
HELPS = [("--help",), *((command, "--help") for command in COMMANDS)]
NEED_SUSTAINGYM = {"epw.yaml", "place.yaml", "env.building=Castle"}
FILES = {
    "torn/config.yaml": "seed: 0\nmixer: {nam",
    "notes": "mine",
    "cut.epw": "LOCATION,cut",
    "broken.yaml": "- {name: a}\n- {name: b, days: [1\n",
    "days.yaml": "- {name: late, days: [300, 400]}",
    "word.yaml": "- {name: wind, wind: 3}",
    "epw.yaml": "- {name: cut, climate: [cut.epw, Tucson]}",
    "weak.yaml": "- {name: weak, heating_power: -1}",
    "deaf.yaml": "- {name: deaf, dropped_readings: 2}",
    "torn.yaml": "- {name: torn, failures: {rate: 3}}",
    "mild.yaml": "- {name: mild, severity: 2}",
    "three.yaml": "- {name: 3, days: [1, 2]}",
    "copied/evaluation.csv": "policy,shift,return\n",
    "place.yaml": "- {name: far, climate: [Hot_Dry, Gotham]}",
    "swept/sweep.yaml": "field: optim.gamma",
    "reproduced/reproduce.yaml": "preset: paper",
}
FOLDERS = ("told", "folder.csv", "folder.pt2")
FOLDERS = (*FOLDERS, "released/network_parameter", "published/a/network_parameter")


def save(folder, version, *overrides, config="building"):
    """What a run leaves, as far as it is looked at."""
    folder.mkdir()
    OmegaConf.save(compose_config(*overrides, config=config), folder / "config.yaml")
    if version is not None:
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "files.json").write_text(json.dumps({"version": version}))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """How each case ended, and what there is in the folder before and after all of them."""
    here = tmp_path_factory.mktemp("here")
    for name in FOLDERS:
        (here / name).mkdir(parents=True)
    for name, text in FILES.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    save(here / "run", "0.1.0", "uncertainty=tv")
    save(here / "nominal", "0.1.0", "uncertainty=none")
    save(here / "harvest", "0.1.0", "env=harvest", config="torchrl")
    save(here / "bare", None, "uncertainty=tv")
    save(here / "own", "0.1.0", "env=custom", "env.make=cranes:make_env", config="torchrl")
    save(here / "done", None)
    (here / "done" / "evaluation.csv").touch()
    save(here / "newer", "99.0", "uncertainty=tv")
    words = [*(words for words, _ in CASES), *HELPS, DONE]
    (here / "cases.json").write_text(json.dumps(words))
    first = [(*SHIFTED, "days.yaml"), (*SWEEP, "--out", "notes"), ("compare", "nowhere")]
    (here / "first.json").write_text(json.dumps(first))
    before = sorted(here.rglob("*"))
    done = run_python("-c", CODE, cwd=here)
    assert done.code == 0, done.err
    found = {w: json.loads((here / "told" / f"{i}.json").read_text()) for i, w in enumerate(words)}
    after = sorted(path for path in here.rglob("*") if path.parent.name != "told")
    return found, before, after


@pytest.mark.parametrize(("words", "message"), CASES, ids=lambda value: str(value)[:60])
def test_a_wrong_argument_is_refused_in_a_line(told, words, message):
    if NEED_SUSTAINGYM & set(words) and find_spec("sustaingym") is None:
        pytest.skip('needs sustaingym: pip install "torchrl_drigm[sustaingym]"')
    if "/proc/mine" in words and not os.path.isdir("/proc"):
        pytest.skip("needs Linux's /proc, where nobody can make a folder: run on Linux")
    ended = told[0][words]
    assert message in ended["err"]
    assert ended["code"] == (2 if "invalid choice" in message else 1) and not ended["out"]
    assert "Traceback" not in ended["err"]
    assert not ended["torch"]


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_help_needs_no_pytorch(told, words):
    ended = told[0][words]
    assert ended["code"] == 0 and "usage: python -m torchrl_drigm" in ended["out"]
    assert not ended["torch"]


def test_a_run_that_has_its_results_needs_no_pytorch(told):
    ended = told[0][DONE]
    assert ended["out"].endswith("done has its results already.\n") and not ended["err"]
    assert not ended["code"] and not ended["torch"]


def test_nothing_is_written(told):
    _, before, after = told
    assert before == after


def test_every_command_is_asked_for_something_wrong():
    assert {words[0] for words, _ in CASES} | {"train"} == set(COMMANDS)
