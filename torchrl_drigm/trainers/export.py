"""A trained team as a file that PyTorch or an ONNX runtime runs, without this package."""

from __future__ import annotations

import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from torchrl_drigm._files import atomic_path
from torchrl_drigm.trainers.agreement import (
    Disagreement,
    Program,
    on_random_inputs,
    on_real_inputs,
)
from torchrl_drigm.trainers.program import StepProgram
from torchrl_drigm.trainers.program_files import check_program
from torchrl_drigm.trainers.team import Team, load_team

__all__ = ["export_team"]

_REMEMBER = (
    "at the first step of an episode an input with an 'initial' value is filled with it; from then "
    "on it is what the last call gave as 'next_' and its name"
)


def export_team(run_dir: str | Path, path: str | os.PathLike | None = None) -> Path:
    """Write the trained team of a run as a program, and what it takes.

    One call is one step of an episode: observations in, greedy actions out. What agents remember,
    their window or their recurrent state, goes in and comes out beside these. A JSON file of the
    same name says what each input and output is, with its shape and type.

    The path's ending is the format:

    - ``.pt2``: of :mod:`torch.export`; ``torch.export.load(path).module()(*inputs)`` runs it.
    - ``.onnx``: of ONNX, for any of its runtimes; the extra ``onnx`` writes and checks it.

    Before a file is written, the program is compared with the team, on random inputs and along an
    episode of the team's task; the outcome stands in the JSON file.

    Args:
        run_dir (str or Path): folder of the run.
        path (str or Path, optional): where to write. Default: ``team.pt2`` in the run's folder.

    Returns:
        Path: of the program.

    Raises:
        FileNotFoundError: if the run has no config or no checkpoint.
        ValueError: if the path has another ending, or the run is damaged.
        ImportError: if a package is missing that writes ONNX.
        RuntimeError: if the program does not act as the team does; nothing is written then.
    """
    path = Path(run_dir) / "team.pt2" if path is None else Path(path)
    write_programs(run_dir, [path])
    return path


def write_programs(run_dir: str | Path, paths: Sequence[Path]) -> dict[str, dict[str, str]]:
    """:func:`export_team` to several files of one folder: all of them, or none.

    Args:
        run_dir (str or Path): folder of the run.
        paths (sequence of Path): where to write, of the same name but for the ending.

    Returns:
        dict: of each program's name, what was compared where.
    """
    for path in paths:
        check_program(f"path={str(path)!r}", path)
    team = load_team(run_dir)
    step = StepProgram(team).eval()
    exported, contents, compared = _exported(step), {}, {}
    for path in paths:
        contents[path], program = _WRITERS[path.suffix](step, exported)
        try:
            compared[path.name] = _compared(team, step, program)
        except Disagreement as error:
            raise Disagreement(
                f"{path} was not written: the program does not act as the team of {run_dir} does: "
                f"{error} Please report it, with the run's config.yaml."
            ) from error
    for path, content in contents.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    with atomic_path(paths[0].with_suffix(".json")) as temporary:
        told = json.dumps(_describe(team, step, compared), indent=2)
        temporary.write_text(f"{told}\n", encoding="utf-8")
    return compared


def _compared(team: Team, step: StepProgram, program: Program) -> dict[str, str]:
    """How many actions are the team's, by where; of a missing simulator, that it is missing."""
    found = {"random inputs": str(on_random_inputs(team, step, program))}
    episode = f"an episode of {team.task.name}"
    try:
        found[episode] = str(on_real_inputs(team, step, program))
    except (ImportError, FileNotFoundError) as error:
        found[episode] = f"not compared: {error}"
    return found


def _exported(step: StepProgram) -> torch.export.ExportedProgram:
    given = [entry for entry in step.entries if entry.initial is None]
    kinds = {"float32": torch.zeros, "bool": torch.ones}
    inputs = [kinds[e.dtype](2, *e.shape, dtype=getattr(torch, e.dtype)) for e in given]
    inputs += step.first(2)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(
            step, tuple(inputs), dynamic_shapes=(tuple({0: batch} for _ in inputs),)
        )


def _pt2(step: StepProgram, exported: torch.export.ExportedProgram) -> tuple[bytes, Program]:
    file = io.BytesIO()
    torch.export.save(exported, file)
    file.seek(0)  # what is compared is what the file holds
    return file.getvalue(), torch.export.load(file).module()


def _onnx(step: StepProgram, exported: torch.export.ExportedProgram) -> tuple[bytes, Program]:
    import onnxruntime

    named = step.describe()
    inputs, outputs = ([e["name"] for e in named[kind]] for kind in ("inputs", "outputs"))
    with _quiet_exporter():
        program = torch.onnx.export(
            exported, dynamo=True, input_names=inputs, output_names=outputs, verbose=False
        )
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(*given: Tensor) -> Sequence[Tensor]:
        arrays = {name: x.numpy() for name, x in zip(inputs, given, strict=True)}
        return [torch.from_numpy(found) for found in session.run(outputs, arrays)]

    return content, run


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what torch 2.13's exporter says of torchvision, and of its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


_WRITERS: dict[
    str, Callable[[StepProgram, torch.export.ExportedProgram], tuple[bytes, Program]]
] = {".pt2": _pt2, ".onnx": _onnx}


def _describe(team: Team, step: StepProgram, compared: dict[str, dict[str, str]]) -> dict:
    return {
        "task": team.task.name,
        "n_agents": team.sizes.n_agents,
        "n_actions": team.sizes.n_actions,
        **step.describe(),
        "notes": {
            "memory": _REMEMBER,
            "past_action": "the action before each observation of the window, newest last",
            "scaling": "observations are in the environment's own units",
        },
        "compared_with_pytorch": compared,
        "torch": torch.__version__,
    }
