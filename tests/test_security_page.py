"""SECURITY.md and the ASVS list name tests that exist, leave no line out, and admit their gaps."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.test_docs import ROOT, text

PAGE = ROOT / "SECURITY.md"
LIST = ROOT / "docs/asvs.md"
#: how many requirements of levels 1 and 2 each chapter of ASVS 5.0.0 has
CHAPTERS = {
    1: 27, 2: 11, 3: 19, 4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 9: 7, 10: 29, 11: 14, 12: 9, 13: 13,
    14: 9, 15: 13, 16: 16, 17: 7,
}  # fmt: skip
VERDICTS = {"yes", "in part", "gap", "operator", "none here"}


@cache
def functions_in(path: Path) -> set[str]:
    tree = ast.parse(text(path))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def named(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text(page))


def threats() -> list[list[str]]:
    lines = [line for line in text(PAGE).splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def requirements() -> list[list[str]]:
    lines = [line for line in text(LIST).splitlines() if re.match(r"\| \d+\.\d+\.\d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", [PAGE, LIST], ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    found = named(page)
    assert found
    missing = [f"{path}::{name}" for path, name in found if not (ROOT / path).exists()]
    missing += [
        f"{path}::{name}"
        for path, name in found
        if (ROOT / path).exists() and name not in functions_in(ROOT / path)
    ]
    assert missing == []


def test_every_threat_has_an_answer_in_the_code_and_a_test() -> None:
    assert [int(row[0]) for row in threats()] == list(range(1, 24))
    for number, threat, answer, shown in threats():
        assert threat
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", shown), f"threat {number} has no test"
        assert "`" in answer or number == "10", f"threat {number} names no module"


def test_the_list_leaves_no_line_of_the_standard_out() -> None:
    numbers = [tuple(map(int, row[0].split("."))) for row in requirements()]
    assert numbers == sorted(set(numbers)), "a number twice, or out of order"
    found = {chapter: sum(n[0] == chapter for n in numbers) for chapter in CHAPTERS}
    assert found == CHAPTERS


def test_every_line_has_a_verdict_and_its_reason() -> None:
    for row in requirements():
        assert len(row) == 5, row
        number, level, subject, verdict, why = row
        assert level in {"1", "2"} and subject and verdict in VERDICTS, number
        assert why, f"{number} says {verdict} without a reason"
        if verdict == "yes":
            assert "`" in why or "[" in why, f"{number} says yes without evidence"


def test_the_sums_at_the_top_are_those_of_the_lines() -> None:
    said = dict(re.findall(r"^\| \*(.+?)\* \| (\d+) \|", text(LIST), re.MULTILINE))
    counted = dict.fromkeys(VERDICTS, 0)
    for row in requirements():
        counted[row[3]] += 1
    assert {name: int(number) for name, number in said.items()} == counted
