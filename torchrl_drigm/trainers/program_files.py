"""Where a team is exported to, looked at without PyTorch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from torchrl_drigm._files import check_place

__all__ = ["FORMATS", "check_program", "missing_for_onnx", "policy_folder"]

FORMATS = (".pt2", ".onnx")
ONNX = ("onnx", "onnxscript", "onnxruntime")


def check_program(field: str, path: Path) -> None:
    """Refuse a file that no program can be written to.

    Args:
        field (str): what errors call the path.
        path (Path): the file.

    Raises:
        ValueError: for another ending, or a folder that cannot be written into.
        ImportError: if a package is missing that writes ONNX.
    """
    if path.suffix not in FORMATS:
        raise ValueError(f"{field} must end in .pt2, as programs of torch.export do, or in .onnx.")
    check_place(field, path.parent)
    if path.suffix == ".onnx" and (missing := missing_for_onnx()):
        raise ImportError(
            f"{path} cannot be written: {', '.join(missing)} missing. "
            'pip install "torchrl_drigm[onnx]", or name a file *.pt2, which needs nothing more.'
        )


def missing_for_onnx() -> list[str]:
    """Packages that writing ONNX needs, and that are not installed."""
    return [name for name in ONNX if importlib.util.find_spec(name) is None]


def policy_folder(run_dir: Path, out: str | Path | None) -> Path:
    """Where the policy of a run is kept: in its own folder, or in an empty one.

    Args:
        run_dir (Path): folder of the run.
        out (str or Path, optional): the other folder.

    Raises:
        ValueError: if it holds something already, or cannot be written into.
    """
    own = out is None or Path(out).resolve() == run_dir.resolve()
    folder = run_dir if own else Path(out)
    check_place(f"out={str(folder)!r}", folder)
    if not own and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"out={str(folder)!r} is not an empty folder: name another one, in which nothing is "
            "lost."
        )
    return folder
