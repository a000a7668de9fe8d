"""Which test says what broke: every rule is broken once, and the test of its name must fail.

Run by hand, from the root of the checkout::

    python tests/mutations              # all of them, some seconds each
    python tests/mutations terminal tv  # those whose test has one of these words in its id

The rules stand in the text files beside this one: a test, then what breaks its rule, a file of the
package with the lines taken out (``-``) and those put in (``+``)::

    objectives/test_rules.py::TestTarget::test_a_terminal_next_state_does_not_bootstrap
      objectives/value/_over_a_set.py
      - torch.where(terminated, torch.zeros_like(next_value), next_value)
      + next_value

The package is broken in a copy, and there the named test runs with all small tests
(``test_rules.py``). A rule that its test does not notice is a fault. Other small tests that notice
it are listed with "also": the fewer there are, the better a failure says what broke.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
import torchrl.trainers  # noqa: F401 - once for all, as it takes longer than the tests

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Edit(NamedTuple):
    """A text of a file of the package, and what stands in its place."""

    file: str
    old: str
    new: str


class Rule(NamedTuple):
    """A test, and what makes it fail."""

    test: str
    edits: list[Edit]


def read_rules(text: str) -> list[Rule]:
    """The rules of a text file, which an empty line divides."""
    rules = []
    for block in text.strip().split("\n\n"):
        test, *lines = block.split("\n")
        edits: list[Edit] = []
        for line in lines:
            kind, rest = line[2:4], line[4:]
            if kind in ("- ", "+ ", "-", "+"):
                edit, field = edits[-1], "old" if kind[0] == "-" else "new"
                so_far = getattr(edit, field)
                edits[-1] = edit._replace(**{field: f"{so_far}\n{rest}" if so_far else rest})
            else:
                edits.append(Edit(line.strip(), "", ""))
        rules.append(Rule(f"tests/{test}", edits))
    return rules


class Failures:
    """A plugin of pytest that keeps the ids of tests that fail, without their parameters."""

    def __init__(self) -> None:
        self.tests: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests.add(report.nodeid.split("[")[0])


def run(root: Path, tests: list[str], results: multiprocessing.SimpleQueue) -> None:
    """Run tests of a checkout in a process of their own; its package is not imported yet."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ["PYTHONPATH"] = str(root)
    sys.dont_write_bytecode = True
    failures, printed = Failures(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[failures])
    results.put((failures.tests, "" if code in (0, 1) else printed.getvalue()))


def failing(root: Path, tests: list[str]) -> set[str]:
    """Ids of the tests that fail in a checkout."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=run, args=(root, tests, results))
    process.start()
    failed, error = results.get()
    process.join()
    if error:
        raise RuntimeError(f"pytest could not run {tests}:\n{error}")
    return failed


def fault(root: Path, rule: Rule, small: list[str]) -> str | None:
    """Break a rule in a copy of the checkout; what is wrong with its test, or ``None``."""
    before = {}
    try:
        for edit in rule.edits:
            file = root / "torchrl_drigm" / edit.file
            text = file.read_text()
            before.setdefault(file, text)
            if text.count(edit.old) != 1:
                return f"{edit.file} has {text.count(edit.old)} times {edit.old!r}, expected once"
            file.write_text(text.replace(edit.old, edit.new))
        own = rule.test.split("::")[0]
        failed = failing(root, [*small, *([] if own in small else [rule.test])])
    finally:
        for file, text in before.items():
            file.write_text(text)
    others = sorted(other.split("::")[-1] for other in failed - {rule.test})
    print(rule.test, *others, sep="\n    also: ", flush=True)
    return None if rule.test in failed else "passes though its rule is broken"


def main(words: list[str]) -> int:
    """Check the rules whose test has one of the words in its id, or all of them."""
    rules = [rule for file in sorted(HERE.glob("*.txt")) for rule in read_rules(file.read_text())]
    rules = [rule for rule in rules if not words or any(word in rule.test for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("torchrl_drigm", "tests"):
            shutil.copytree(ROOT / name, root / name)
        shutil.copy(ROOT / "pyproject.toml", root)
        small = sorted(str(file.relative_to(root)) for file in root.glob("tests/*/test_rules.py"))
        faults = [f"{test} fails as it is" for test in failing(root, small)]
        for rule in rules:
            found = fault(root, rule, small)
            faults += [f"{rule.test} {found}"] if found else []
    print(*faults, f"{len(rules)} rules, {len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
