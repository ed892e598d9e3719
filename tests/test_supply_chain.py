"""What the panel is made of: pinned by hashes, licensed, listed; an audit without a false yes."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.services import ROOT

LOCKS = sorted(ROOT.glob("requirements*.lock"))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_library_is_pinned_with_hashes_and_without_an_address(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 60
    loose = [one for one in entries if "==" not in one or "--hash=sha256:" not in one]
    assert loose == []
    assert "://" not in text and "--index" not in text


def test_what_runs_is_the_same_in_every_lock() -> None:
    licences = script("licences")
    runtime = licences.locked("requirements.lock")
    for lock in ("requirements-observe.lock", "requirements-dev.lock"):
        other = licences.locked(lock)
        assert {name: other.get(name) for name in runtime} == runtime


def test_a_licence_nobody_has_judged_is_told() -> None:
    licences = script("licences")
    assert licences.unjudged("AGPL-3.0-only") == {"AGPL-3.0-only"}
    assert licences.unjudged("MIT AND AGPL-3.0-only") == {"AGPL-3.0-only"}
    assert licences.unjudged("MIT OR AGPL-3.0-only") == set()
    assert licences.licence("a-library-that-is-not-there") == ""


def test_the_list_of_parts_names_every_library_once(tmp_path: Path) -> None:
    target = tmp_path / "sbom.json"
    subprocess.run([sys.executable, "scripts/sbom.py", str(target)], cwd=ROOT, check=True)
    listed = json.loads(target.read_text())
    found = {f"{part['name']}=={part['version']}".lower() for part in listed["components"]}
    lock = (ROOT / "requirements.lock").read_text()
    locked = re.findall(r"^(\S+==[^\s;\\]+)", lock, re.MULTILINE)
    assert found == {one.lower() for one in locked}
    for part in listed["components"]:
        assert part["licenses"][0]["expression"]
        assert part["externalReferences"][0]["hashes"]


FINE = {"name": "a", "version": "1", "vulns": []}
HURT = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "version": "4", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([FINE], 0, "no known vulnerability"),
        ([FINE, HURT, SKIPPED], 1, "b 2: CVE-1 (mended in 3)"),
        ([FINE, SKIPPED], 2, "NOT audited: 1 of 2"),
        ([], 2, "NOT audited"),
        (None, 2, "could not be asked"),
    ],
)
def test_an_audit_that_could_not_ask_is_no_yes(found: object, status: int, words: str) -> None:
    verdict = script("audit").verdict("x.lock", found)
    assert verdict[0] == status and words in verdict[1]
