"""Classes and functions by a name: the package's own, or a user's by its import path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from torchrl_drigm._modules import path_parts

T = TypeVar("T")


def find_class(
    field: str, name: str, known: Mapping[str, type[T]], base: type[T], may_import: bool = True
) -> type[T]:
    """The class of that name.

    Args:
        field (str): what errors call the name, such as ``"env.name"``.
        name (str): one of ``known``, or an import path: ``"my_package.my_module.MyClass"``.
        known (mapping of str to type): classes by their names.
        base (type): what the class must be a subclass of.
        may_import (bool): whether a module that has not been imported yet may be. Importing runs
            code: say ``False`` for a name that was read from a file. Default: ``True``.

    Raises:
        ValueError: for an unknown name, a path to nothing or to no subclass of ``base``, or a
            module that would have to be imported and may not be.

    Examples:
        >>> find_class("number", "fractions.Fraction", {"int": int}, object).__name__
        'Fraction'
    """
    name = str(name)
    if name in known:
        return known[name]
    module_name, _, class_name = name.rpartition(".")
    if not module_name:
        raise ValueError(
            f"{field}={name!r} must be one of {sorted(known)}, or the import path of a class of "
            "your own, such as 'my_module.MyClass'."
        )
    # Out of the module's own entries: asking it for an attribute may execute code of its own.
    found = vars(_module(field, module_name, name, may_import)).get(class_name)
    if not (isinstance(found, type) and issubclass(found, base)):
        what = f"no {class_name!r}" if found is None else f"{found!r} as {class_name!r}"
        raise ValueError(
            f"{field}={name!r} must lead to a subclass of {base.__name__}, and the module "
            f"{module_name!r} has {what}."
        )
    return found


def find_callable(field: str, path: str, may_import: bool = True) -> Callable[..., Any]:
    """The function or class at an import path.

    Args:
        field (str): what errors call the path, such as ``"env.make"``.
        path (str): ``"my_module:make_env"`` or ``"my_module.make_env"``.
        may_import (bool): see :func:`find_class`.

    Raises:
        ValueError: for what is no path, leads to nothing or to nothing that can be called, or a
            module that would have to be imported and may not be.

    Examples:
        >>> find_callable("env.make", "fractions:Fraction")(1, 2)
        Fraction(1, 2)
    """
    path = str(path)
    module_name, name = path_parts(field, path)
    found = vars(_module(field, module_name, path, may_import)).get(name)
    if not callable(found):
        what = f"no {name!r}" if found is None else f"{found!r} as {name!r}"
        raise ValueError(
            f"{field}={path!r} must lead to a function or class that makes an environment, and the "
            f"module {module_name!r} has {what}."
        )
    return found


def _module(field: str, module_name: str, path: str, may_import: bool) -> ModuleType:
    if module_name in sys.modules:
        return sys.modules[module_name]
    if not may_import:
        raise ValueError(
            f"{field}={path!r} names a module that has not been imported, and it is not imported "
            f"from here, since that would execute it. Import it first: `import {module_name}`, "
            f"on the command line --import {module_name}."
        )
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # What is missing may be something that the module itself imports: that is its own story.
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"{field}={path!r}: there is no module {error.name!r}. Start Python where it can be "
            f"imported, in the folder that holds {str(error.name).partition('.')[0]}.py, or put "
            "that on PYTHONPATH."
        ) from error
