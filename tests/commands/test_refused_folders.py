"""Folders of a command line that no run can be made in are refused before anything is written."""

import os

import pytest

from tests.commands.small_runs import save
from tests.commands.test_refusals import refused
from torchrl_drigm import _files
from torchrl_drigm.config import compose_config


def test_a_folder_of_another_run_is_left_as_it_is(tmp_path):
    save(tmp_path, compose_config("seed=3"))
    with pytest.raises(ValueError, match=r"holds another run\. Differing: seed: 3 there, 0 here"):
        refused(f"hydra.run.dir={tmp_path}")
    with pytest.raises(ValueError, match=r"run of another config\. Differing: seed: 3 there, 0 he"):
        refused(f"resume={tmp_path}/checkpoint")
    assert len(refused(f"hydra.run.dir={tmp_path}", "seed=3")) == 1


@pytest.mark.parametrize("field", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_that_cannot_be_written_into(field, tmp_path, monkeypatch):
    words, sweep = ("uncertainty=none",), field == "hydra.sweep.dir"
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=rf"^{field}={tmp_path}/file/run: {tmp_path}/file is no"):
        refused(*words, f"{field}={tmp_path}/file/run", sweep=sweep)
    # permissions do not stop the administrator, who may run the tests
    made = _files.TemporaryDirectory
    monkeypatch.setattr(_files, "TemporaryDirectory", lambda **o: made(**o | denied(o["dir"])))

    def denied(folder):
        return {"dir": "/dev/null"} if folder == tmp_path else {}

    with pytest.raises(ValueError, match=rf"^{field}=.*: {tmp_path} cannot be written into \(Not"):
        refused(*words, f"{field}='{tmp_path}/${{now:%Y}}/run'", sweep=sweep)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"^{field}=runs: {tmp_path}/runs cannot be written into"):
        refused(*words, sweep=sweep)
    refused(*words, f"{field}={tmp_path.parent}/other", sweep=sweep)


@pytest.mark.skipif(
    not os.path.isdir("/proc"),
    reason="needs a /proc that takes no folder: run on Linux",
)
@pytest.mark.parametrize("field", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_that_nobody_can_make(field):
    with pytest.raises(ValueError, match=rf"^{field}=/proc/foo: /proc/foo cannot be written into"):
        refused(f"{field}=/proc/foo", sweep=field == "hydra.sweep.dir")
