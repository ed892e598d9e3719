"""Every code has words, and the story told of a rescue is the one that happened."""

import ast
import inspect
from datetime import UTC, datetime, timedelta

import pytest

from instances import choices, driver, lifecycle, picker, story, wording
from instances.cloud import errors
from instances.lifecycle import IN_RESCUE, OPEN, SETTLED, State
from instances.models import Image
from instances.models.clock import now
from tests.instances import rows

S = State
pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(teams):
    account = rows.account(teams.acme, "acme")
    rows.images(account)
    return account


def told(acme, alice, state, **facts):
    vm_state = "rescued" if state in ("READY", "EXTERNAL") else "active"
    made = rows.instance(acme, "web-1", vm_state=vm_state, flavor_disk=50)
    row = rows.rescue(made, state, alice)
    for name, value in facts.items():
        setattr(row, name, value)
    return row


# Codes have words -------------------------------------------------------------------------------


def test_every_state_has_a_headline_and_a_tone(acme, alice):
    assert set(story.HEADLINES) == set(State)
    for state in State:
        row = rows.rescue(rows.instance(acme, state), state, alice)
        assert str(row.headline)
        tone = {True: "ready", False: "busy"}[state in IN_RESCUE] if state in OPEN else None
        assert row.tone == (tone or ("failed" if state in story.FAILED else "ended"))


def reasons():
    """Read every reason that the state machine can give out of its source."""
    found = set()
    for module in (lifecycle, driver):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.keyword) and node.arg == "reason":
                found |= {
                    part.value
                    for part in ast.walk(node.value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return {reason for reason in found if reason and not reason.endswith(":")}


#: reasons that the state's own advice or the obstacle explains
EXPLAINED = {"host_silent", "host_error", "no_effect", "outside", "age"}


def test_every_reason_has_words():
    known = set(story.REFUSALS) | EXPLAINED
    assert {"locked", "expired", "not_taken", "exit_failed"} <= reasons()
    assert reasons() <= known


def test_every_kind_of_trouble_with_a_cloud_has_words():
    kinds = {kind.kind for kind in vars(errors).values() if isinstance(kind, type)
             and issubclass(kind, errors.CloudError)}  # fmt: skip
    for kind in kinds | {"host_silent", "in_doubt", "never heard of"}:
        assert str(wording.problem(kind)) and str(wording.obstacle(kind))
    assert wording.problem("") == wording.obstacle("") == ""


def test_every_code_of_the_picker_has_words():
    source = inspect.getsource(picker)
    for table in (wording.UNSUITABLE, wording.WARNINGS):
        for code, words in table.items():
            assert f'"{code}"' in source and str(words)
    first = [node.elts[0] for node in ast.walk(ast.parse(source))
             if isinstance(node, ast.Tuple) and len(node.elts) == 2]  # fmt: skip
    codes = {part.value for part in first if isinstance(part, ast.Constant)}
    assert codes - {picker.STABLE_DEVICE} <= set(wording.UNSUITABLE) | set(wording.WARNINGS)


@pytest.mark.parametrize(
    ("status", "task", "label", "tone"),
    [
        ("ACTIVE", None, "Running", "ok"),
        ("RESCUE", None, "In rescue mode", "rescue"),
        ("SHUTOFF", None, "Off", "off"),
        ("ERROR", None, "Error", "error"),
        ("ACTIVE", "rescuing", "Starting rescue mode", "busy"),
        ("RESCUE", "unrescuing", "Leaving rescue mode", "busy"),
        ("ACTIVE", "brand_new_task", "Running", "busy"),
        ("BRAND_NEW", None, "BRAND_NEW", "unknown"),
        ("UNKNOWN", None, "Unknown", "unknown"),
    ],
)
def test_what_a_status_is_called(status, task, label, tone):
    assert str(wording.status(status, task)) == label
    assert wording.tone(status, task) == tone


# Advice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "word"),
    [
        ("REFUSED", "locked", "locked"),
        ("REFUSED", "vm_state:paused", "paused"),
        ("REFUSED", "vm_state:brand-new", "state"),
        ("REFUSED", "conflict", "Nothing was changed"),
        ("REFUSED", "invalid", "image"),
        ("FAILED_CLEAN", "host_error", "as it was before"),
        ("FAILED_CLEAN", "not_taken", "three times"),
        ("FAILED_BROKEN", "host_error", "hard reboot"),
        ("EXIT_BROKEN", "", "hard reboot"),
        ("EXPIRED", "expired", "Nothing was changed"),
        ("LOST_RACE", "", "somebody else"),
        ("READY", "exit_failed", "still in rescue mode"),
        ("ENDED_BY_CLOUD", "", "no longer works"),
    ],
)
def test_the_advice(acme, alice, state, code, word):
    assert word in str(told(acme, alice, state, failure_code=code).advice)


def test_failures_are_never_without_advice(acme, alice):
    for state in story.FAILED - {S.REFUSED}:
        assert str(rows.rescue(rows.instance(acme, state), state, alice).advice), state


def test_a_server_that_was_off_is_running_now(acme, alice):
    row = told(acme, alice, "CLOSED", vm_state_before="stopped", ended_at=now())
    assert "was off before" in str(row.advice)


@pytest.mark.parametrize(
    ("state", "obstacle", "word"),
    [
        ("WAITING", "host_silent", "host"),
        ("REQUESTED", "silent", "does not answer"),
        ("IN_DOUBT", "", "got lost"),
        ("EXIT_IN_DOUBT", "silent", "does not answer"),
        ("WAITING", "", ""),
    ],
)
def test_the_obstacle(acme, alice, state, obstacle, word):
    sentence = str(told(acme, alice, state, obstacle=obstacle).obstacle_sentence)
    assert word in sentence and bool(sentence) is bool(word)


# Stages -----------------------------------------------------------------------------------------


def marks(row):
    return [stage.state for stage in row.stages]


T = datetime.now(UTC) - timedelta(seconds=5)


@pytest.mark.parametrize(
    ("state", "facts", "expected"),
    [
        ("REQUESTED", {}, "now next next next"),
        ("WAITING", {"accepted_at": T}, "done now next next"),
        ("WAITING", {"accepted_at": T, "host_started_at": T}, "done done now next"),
        ("READY", {}, "done done done done"),
        ("REFUSED", {}, "failed next next next"),
        ("FAILED_CLEAN", {"accepted_at": T, "host_started_at": T}, "done done failed next"),
        ("EXIT_REQUESTED", {"exit_requested_at": T}, "now next next"),
        ("EXIT_WAITING", {"exit_requested_at": T}, "done now next"),
        ("CLOSED", {"exit_requested_at": T, "ended_at": T}, "done done done"),
    ],
)
def test_the_stages(acme, alice, state, facts, expected):
    assert " ".join(marks(told(acme, alice, state, **facts))) == expected


def test_a_rescue_from_outside_has_no_stages_of_a_start(acme):
    row = told(acme, None, "EXTERNAL")
    row.image_ref = ""
    assert row.is_external and row.stages == []
    row.exit_requested_at, row.state = now(), S.EXIT_WAITING
    assert marks(row) == ["done", "now", "next"]


@pytest.mark.parametrize("state", sorted(State))
def test_stages_never_go_backwards(acme, alice, state):
    order = {"done": 0, "now": 1, "failed": 1, "next": 2}
    row = told(acme, alice, state)
    places = [order[mark] for mark in marks(row)]
    assert places == sorted(places)
    if state in SETTLED:
        assert "now" not in marks(row)


# Next steps -------------------------------------------------------------------------------------


def test_the_next_steps_name_this_machine(acme, alice):
    row = told(acme, alice, "READY")
    assert row.ssh_command.endswith(" root@203.0.113.7")
    assert f"known_hosts.rescue-{str(row.pk)[:8]}" in row.ssh_command
    assert row.steps[0].command == row.ssh_command and "password" in str(row.steps[0].text)
    assert "50 GB" in str(row.steps[1].text)
    assert all(str(step.title) for step in row.steps)


def test_the_ssh_line_names_a_port_of_the_account(acme, alice):
    row = told(acme, alice, "READY")
    row.instance.account.machine_port = 22000
    assert row.ssh_command.endswith(" -p 22000 root@203.0.113.7")


@pytest.mark.parametrize("state", sorted(set(State) - IN_RESCUE))
def test_no_steps_where_there_is_nothing_to_do(acme, alice, state):
    row = told(acme, alice, state)
    assert row.steps == [] and row.ssh_command == ""


@pytest.mark.parametrize(
    ("access", "user", "word"),
    [
        ("key", "debian", "SSH key"),
        ("console", "root", "console"),
        ("unknown", "", "does not know"),
    ],
)
def test_how_to_log_in(acme, alice, access, user, word):
    row = told(acme, alice, "READY", access=access, access_user=user)
    assert word in str(row.steps[0].text)
    assert f"{user or 'root'}@" in row.ssh_command


def test_a_hostile_user_or_address_is_quoted(acme, alice):
    row = told(acme, alice, "READY", access_user="$(reboot)")
    row.instance.addresses = [{"address": "; rm -rf /", "kind": "fixed", "version": 4}]
    assert row.ssh_command.endswith(" '$(reboot)@; rm -rf /'")


def test_without_an_address_there_is_no_ssh_line(acme, alice):
    row = told(acme, alice, "READY")
    row.instance.addresses = []
    assert row.ssh_command == "" and row.steps


# The dialogs ------------------------------------------------------------------------------------


def test_the_offer(acme):
    offer = choices.picker_for(rows.instance(acme))
    assert [choice.name for choice in offer.choices] == ["Rescue distribution"]
    best = offer.preselected
    assert best.recommended and best.rescue_image and str(best.access_label) == "Temporary password"
    (unsuitable,) = offer.unsuitable
    assert unsuitable.name == "Windows" and "memory" in str(unsuitable.reason)
    assert not unsuitable.preselected


def test_one_choice_is_preselected_at_most(acme):
    for n in range(5):
        Image.objects.create(account=acme, image_id=f"i{n}", name="same", status="active",
                             visibility="public", tags=["rescue"])  # fmt: skip
    made = rows.instance(acme)
    assert sum(choice.preselected for choice in choices.picker_for(made).choices) == 1
    Image.objects.update(status="queued")
    nothing = choices.picker_for(made)
    assert nothing.preselected is None and nothing.choices == []


def test_the_operator_can_name_rescue_images(acme, settings):
    Image.objects.update(tags=[], min_ram=0)
    made = rows.instance(acme)
    assert not any(choice.rescue_image for choice in choices.picker_for(made).choices)
    settings.RESCUE_IMAGES = ["Windows"]
    assert choices.picker_for(made).choices[0].name == "Windows"
    assert choices.choice_of(made, rows.WINDOWS).access == "password"


def test_an_image_of_another_account_is_no_choice(acme, teams):
    other = rows.account(teams.other, "other")
    Image.objects.create(account=other, image_id="theirs", status="active", visibility="public")
    made = rows.instance(acme)
    assert choices.choice_of(made, "theirs") is None
    assert choices.choice_of(made, rows.RESCUE_IMAGE).suitable


def test_a_way_in_by_key_names_the_user(acme):
    Image.objects.filter(image_id=rows.RESCUE_IMAGE).update(
        properties={"rescue_access": "key", "rescue_user": "fix"}
    )
    made = rows.instance(acme, key_name="k")
    assert "fix" in str(choices.choice_of(made, rows.RESCUE_IMAGE).access_label)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"vm_state": "stopped"}, "will be running"),
        ({"vm_state": "error"}, "may fail"),
        ({"addresses": []}, "no address"),
        ({"config_drive": False}, "no config drive"),
        ({"volumes": 1}, "volumes"),
    ],
)
def test_what_to_know_before_the_start(acme, facts, word):
    plain = choices.picker_for(rows.instance(acme, "plain")).notes
    special = choices.picker_for(rows.instance(acme, "special", **facts)).notes
    assert len(special) == len(plain) + 1
    assert any(word in str(note.text) and note.level == "warning" for note in special)


def test_what_to_know_before_the_exit(acme, alice):
    row = told(acme, alice, "READY", vm_state_before="stopped")
    row.save()
    texts = " ".join(str(note.text) for note in choices.exit_notes(row.instance))
    assert "umount" in texts and "was off before" in texts and "destroyed" in texts
