"""Every code that the work on a machine can end in has its sentence, and the sentence its words."""

import ast
import re
import string
from pathlib import Path

import pytest

from instances import recovery, ssh
from instances.machine_forms import FORMS
from instances.models import Job, Machine
from instances.models.machine import Reach
from instances.recovery import words
from instances.recovery.kinds import KINDS, REPAIRS

SOURCES = sorted(Path(recovery.__file__).parent.rglob("*.py"))
#: what the door says before anybody is in: the state of the machine tells the rest
AT_THE_DOOR = {"ssh", "not_allowed", "unreachable", "port_closed", "silent", "protocol", "too_old",
               "bad_key"}  # fmt: skip


def calls(name):
    """Yield the calls of a function in the code of the recovery."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield node


def codes(name):
    """Map the codes that are said to the names of what goes into them; None where not known."""
    found = {}
    for call in calls(name):
        first = call.args[0]
        branches = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
        for one in branches:
            if isinstance(one, ast.Constant):
                given = {keyword.arg for keyword in call.keywords}
                found.setdefault(one.value, []).append(None if None in given else given)
    return found


def fields(sentence):
    return {name for _text, name, _spec, _how in string.Formatter().parse(str(sentence)) if name}


@pytest.mark.parametrize(("function", "table"), [("line", "LINES"), ("CannotDo", "PROBLEMS")])
def test_every_code_has_a_sentence_with_its_words(function, table):
    sentences, said = getattr(words, table), codes(function)
    assert len(said) > 8
    assert {*said} <= {*sentences}
    for code, all_given in said.items():
        for given in all_given:
            assert given is None or fields(sentences[code]) <= given, code


def test_no_sentence_is_left_over():
    others = {"will_make", "will_change"}  # their code is picked before
    assert {*words.LINES} - {*codes("line")} <= others
    ended = {*re.findall(r'problem="(\w+)"', Path(words.__file__).with_name("jobs.py").read_text())}
    assert ended
    assert ended <= {*words.PROBLEMS}
    plain = {code for code in words.PROBLEMS if not code.startswith("ssh_")}
    assert plain == {*codes("CannotDo")} | ended


def errors(kind):
    return {kind.code, *(code for one in kind.__subclasses__() for code in errors(one))}


def test_whatever_goes_wrong_inside_is_said():
    assert errors(ssh.SshError) - AT_THE_DOOR == {
        code.removeprefix("ssh_") for code in words.PROBLEMS if code.startswith("ssh_")
    }
    assert all(len(f"ssh_{code}") <= 24 for code in errors(ssh.SshError))
    assert words.problem(Job(problem="ssh_silent")) == str(words.UNREACHED)
    assert words.problem(Job()) == ""


def test_every_state_has_its_words():
    assert {*words.REACHES} == {*Reach}
    assert {*words.STATES} == {*Job.State}
    assert {*words.STAGES} == {*Job.Stage}
    assert {*words.TITLES} == {*KINDS}
    assert {*FORMS} == {*REPAIRS}
    for reach in Reach:
        machine = Machine(reach=reach)
        assert words.reach_title(machine)
        advised = reach not in (Reach.UNTRIED, Reach.IN)
        assert bool(words.reach_advice(machine)) is advised
    for kind in KINDS:
        assert words.under_way(Job(kind=kind))
    assert words.under_way(Job(kind="look")) == "Looking at the disks"
    assert words.under_way(Job(kind="gone")) == "Working"


def test_what_the_machine_says_is_put_in_and_not_formatted():
    job = Job(problem="mount_failed", problem_args={"device": "/dev/vdb1", "said": "{said} {0} %s"})
    assert words.problem(job) == "/dev/vdb1 could not be mounted: {said} {0} %s"
    assert words.sentence(["looked", {"disks": 2}]) == "Disks seen: 2"
