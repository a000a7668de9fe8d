"""Classes by a name: one that the package knows, or the import path of a user's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import TypeVar

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
    if name in known:
        return known[name]
    path, _, attribute = name.rpartition(".")
    if not path:
        raise ValueError(
            f"{field}={name!r} must be one of {list(known)}, or the import path of a "
            f"{base.__name__} of your own, such as 'my_module.MyClass'."
        )
    if not may_import and path not in sys.modules:
        raise ValueError(
            f"{field}={name!r} is a class of your own, and a run's folder may not make its module "
            f"be imported: import {path} first."
        )
    try:
        found = getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{field}={name!r} cannot be imported: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{field}={name!r} is no {base.__name__}, which it must be.")
    return found
