"""Messages of the package's source, and of tables of the pages."""

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOLE = "…"


def rows(page, after=""):
    """The messages of a page's tables: what stands in backticks first in a row."""
    text = (ROOT / "docs" / page).read_text()
    text = text[text.index(after) :]
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def _with_holes(string):
    parts = string.values
    return "".join(part.value if isinstance(part, ast.Constant) else HOLE for part in parts)


def _docstring(node):
    has = ast.Module | ast.ClassDef | ast.FunctionDef
    return node.body[0].value if isinstance(node, has) and ast.get_docstring(node) else None


@functools.cache
def templates():
    """Every string of the package but docstrings, with a hole where a value is put in."""
    found = []
    for file in (ROOT / "torchrl_drigm").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        docstrings = {id(_docstring(node)) for node in nodes}
        found += [_with_holes(node) for node in nodes if isinstance(node, ast.JoinedStr)]
        found += [
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if id(node) not in docstrings
        ]
    return found


def holds(message, text):
    """Whether what stands between the holes of a message is in a text, one after the other."""
    at = 0
    for piece in message.split(HOLE):
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
