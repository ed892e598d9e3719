"""Try mutants inside one pytest session: services, fixtures and imports are paid for once.

A mutant in a function is put in by exchanging the function's code, and is tried with the tests
that ran through that function, the quickest first. One at a module's own level is put in while
the module is imported, by a pytest of its own: see ``at_import``.
"""

import gc
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.mutate import Mutant, mutants
from tests.services import ROOT

OPTIONS = [
    "-q",
    "-p",
    "no:rerunfailures",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "--timeout=60",
    "-o",
    "timeout_func_only=true",
    "-W",
    "ignore",
]


def quick_models() -> None:
    """Look for counterexamples in the same places each time, and do not make them small."""
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
    hypothesis.settings.load_profile("mutants")


class Hunt:
    """The plugin: learn which tests run through which function, then try the mutants."""

    def __init__(self, path: Path, tests: list[str]) -> None:
        self.path, self.tests = path, tests
        self.survivors: list[Mutant] = []
        self.tried = self.number = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        through = self._learn(session)
        lines = os.environ.get("MUTANT_LINES", "")
        only = range(*map(int, lines.split("-"))) if lines else None
        for number, mutant in enumerate(mutants(self.path.read_text())):
            self.number = number
            if only and mutant.line not in only:
                continue
            self.tried += 1
            if not self._killed(session, mutant, through):
                self.survivors.append(mutant)
                print(f"\n  survived: line {mutant.line}: {mutant.what}", flush=True)
        return True

    def _learn(self, session: pytest.Session) -> dict[str, list[pytest.Item]]:
        """Run everything once, unchanged; return the tests of each function, quickest first."""
        took, through = {}, defaultdict(list)
        functions = _functions(self.path)
        for item in session.items:
            watch = coverage.Coverage(data_file=None, include=[str(self.path)], config_file=False)
            watch.start()
            reports = _run(session, item)
            watch.stop()
            if any(report.failed for report in reports):
                raise pytest.UsageError(f"{item.nodeid} fails without any mutant")
            took[item] = sum(report.duration for report in reports)
            ran = set(watch.get_data().lines(str(self.path)) or ())
            for name, body in functions.items():
                if ran & body:
                    through[name].append(item)
        return {name: sorted(items, key=took.__getitem__) for name, items in through.items()}

    def _killed(self, session: pytest.Session, mutant: Mutant, through: dict[str, Any]) -> bool:
        name = mutant.function.removesuffix(".<locals>")
        if not mutant.function.endswith(".<locals>"):
            return _killed_at_import(self.path, self.number, self.tests)
        new = _codes(compile(mutant.tree, str(self.path), "exec"))
        olds = [
            (one, one.__code__)
            for one in gc.get_objects()
            if isinstance(one, FunctionType) and one.__code__.co_filename == str(self.path)
        ]
        try:
            for one, old in olds:
                fresh = new.get((old.co_qualname, old.co_firstlineno))
                if fresh is not None:
                    one.__code__ = fresh
        except ValueError:  # a closure that lost a name of its own
            return _killed_at_import(self.path, self.number, self.tests)
        try:
            return any(
                any(report.failed for report in _run(session, item))
                for item in through.get(name, ())
            )
        finally:
            for one, old in olds:
                one.__code__ = old


def _run(session: pytest.Session, item: pytest.Item) -> list[Any]:
    """Run a test and keep its module's fixtures."""
    session._setupstate.teardown_exact(item)
    return runtestprotocol(item, log=False, nextitem=item.parent)  # type: ignore[arg-type]


def _codes(code: CodeType) -> dict[tuple[str, int], CodeType]:
    found = {(code.co_qualname, code.co_firstlineno): code}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _codes(inner)
    return found


def _functions(path: Path) -> dict[str, set[int]]:
    """Return each function's lines, those of its inner functions included."""
    found: dict[str, set[int]] = {}

    def walk(code: CodeType) -> set[int]:
        lines = {line for _start, _end, line in code.co_lines() if line} - {code.co_firstlineno}
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                lines |= walk(inner)
        found[code.co_qualname] = lines
        return lines

    walk(compile(path.read_text(), str(path), "exec"))
    return found


def _killed_at_import(path: Path, number: int, tests: list[str]) -> bool:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        *OPTIONS,
        "-p",
        "tests.mutants.at_import",
        *tests,
    ]
    environment = os.environ | {"MUTANT": f"{module}:{number}"}
    for name in ("DJANGO_SETTINGS_MODULE", "SECRET_KEY", "ENCRYPTION_KEYS", "DATABASE_URL"):
        environment.pop(name, None)
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True)
    return ended.returncode != 0
