"""What a module has, read off its file: importing it executes it, and PyTorch with it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

__all__ = ["check_path", "import_own", "path_parts"]


def path_parts(field: str, path: str) -> tuple[str, str]:
    """The module and the name of an import path.

    Args:
        field (str): what errors call the path, such as ``"env.make"``.
        path (str): ``"my_module:make_env"`` or ``"my_module.make_env"``.

    Raises:
        ValueError: for what is no path, naming the field and the value.

    Examples:
        >>> path_parts("env.make", "my_package.my_module:make_env")
        ('my_package.my_module', 'make_env')
    """
    module, _, name = path.rpartition(":" if ":" in path else ".")
    if not module or not name:
        raise ValueError(
            f"{field}={path!r} must be the import path of a function or class of your own, such as "
            "'my_module:make_env'."
        )
    return module, name


def check_path(field: str, path: str) -> None:
    """Refuses an import path to a module or a name that there is not, without an import.

    What cannot be told from files is let pass: importing it tells.

    Args:
        field (str): what errors call the path, such as ``"env.make"``.
        path (str): ``"my_module:make_env"`` or ``"my_module.MyClass"``.

    Raises:
        ValueError: naming the field, the path and what there is.

    Examples:
        >>> check_path("env.make", "wave:Wave_read")
        >>> check_path("env.make", "wave:Wave_raed")
        Traceback (most recent call last):
        ValueError: env.make='wave:Wave_raed': the module 'wave' (...) has no 'Wave_raed'...
    """
    module, _, name = path.rpartition(":" if ":" in path else ".")
    if not module or not name or module in sys.modules:
        return  # no path, or one of which more is known where it is followed
    file = _file(field, path, module)
    if file is None or not file.is_file() or file.suffix != ".py":
        return
    try:
        names = _names(ast.parse(file.read_bytes()))
    except SyntaxError as error:
        raise ValueError(
            f"{field}={path!r}: {file}, line {error.lineno}, is no Python: {error.msg}."
        ) from error
    if names is not None and name not in names:
        own = sorted(one for one in names if not one.startswith("_"))
        shown = ", ".join(own[:20]) + (", …" if len(own) > 20 else "")
        raise ValueError(
            f"{field}={path!r}: the module {module!r} ({file}) has no {name!r}. It has {shown}."
        )


def import_own(field: str, module: str) -> None:
    """Imports a module of a user's own.

    Args:
        field (str): what errors call it, such as ``"--import"``.
        module (str): its name.

    Raises:
        ValueError: if there is none of that name.

    Examples:
        >>> import_own("--import", "mien")
        Traceback (most recent call last):
        ValueError: --import='mien': there is no module 'mien'. Start Python where it can be ...
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        # what is missing may be something that the module itself imports: that is its own story
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _missing(field, module, str(error.name)) from error


def _file(field: str, path: str, module: str) -> Path | None:
    """The file of a module; ``None`` where that is not known."""
    top, *parts = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # of what was imported without a file
        return None
    if spec is None:
        raise _missing(field, path, top)
    file, folders, name = _origin(spec), spec.submodule_search_locations, top
    for part in parts:
        if folders is None:
            return None
        name = f"{name}.{part}"
        places = [Path(folder) / part for folder in folders]
        found = [
            place for place in places if place.is_dir() or list(place.parent.glob(f"{part}.*"))
        ]
        if not found:
            raise _missing(field, path, name)
        package = found[0] / "__init__.py"
        file = package if package.is_file() else found[0].with_suffix(".py")
        folders = [str(place) for place in found if place.is_dir()] or None
    return file


def _origin(spec: ModuleSpec) -> Path | None:
    return Path(spec.origin) if spec.has_location and spec.origin else None


def _missing(field: str, path: str, module: str) -> ValueError:
    return ValueError(
        f"{field}={path!r}: there is no module {module!r}. Start Python where it can be imported, "
        f"in the folder that holds {module.partition('.')[0]}.py, or put that on PYTHONPATH."
    )


def _names(tree: ast.Module) -> set[str] | None:
    """Names that a module binds; ``None`` where it may bind others that it does not write."""
    if any(isinstance(node, ast.Global) for node in ast.walk(tree)):
        return None
    found: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {one.asname or one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        else:
            parts = list(ast.walk(node))
            found |= {p.id for p in parts if isinstance(p, ast.Name) and _is_bound(p)}
            calls = {p.func.id for p in parts if isinstance(p, ast.Call) and _is_name(p.func)}
            if calls & {"globals", "vars", "setattr", "exec", "locals"}:
                return None
    return None if found & {"*", "__getattr__"} else found


def _is_bound(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """All of a module's own, also those in an ``if`` or a ``try``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            yield from _statements(child)
