"""Choosing, the review, the board and the notification, as the browser asks for them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from instances.bulk import asked
from instances.models import Batch, Instance, Rescue
from teams.models import CloudAccount
from tests.instances import rows
from tests.instances.bulk.tools import advance, all_become, becomes, on_the_way


@pytest.fixture
def desk(alice: Any) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def choose(client: Client, chosen: list[Instance], kind: str = "start", **more: Any) -> Any:
    sent = {"kind": kind, "instance": [one.pk for one in chosen]} | more
    return client.post(reverse("instances:batch_draft"), sent)


def page(client: Client, batch: Batch, **query: str) -> str:
    answer = client.get(reverse("instances:batch", args=[batch.pk]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def send(client: Client, batch: Batch, account: Any, **more: Any) -> Any:
    sent = {f"image-{account.pk}": rows.RESCUE_IMAGE, "at_once": 5, "stop_after": 3} | more
    return client.post(reverse("instances:batch_begin", args=[batch.pk]), sent)


def test_the_list_offers_a_box_for_each_to_who_may_operate(many, desk, carol):
    text = desk.get("/").content.decode()
    assert text.count('name="instance"') == 12
    assert 'aria-label="Select web-00"' in text and 'id="pick"' in text
    row = desk.get(f"/instances/{many[0].pk}/row?pick=1", headers={"HX-Request": "true"})
    assert b'name="instance"' in row.content
    reader = Client()
    reader.force_login(carol)
    assert 'name="instance"' not in reader.get("/").content.decode()


def test_from_the_choice_by_the_review_to_the_board(acme, many, desk):
    rows.instance(acme, "locked-1", locked=True)
    answer = choose(desk, [*many[:3], Instance.objects.get(name="locked-1")])
    batch = Batch.objects.get()
    assert answer.url == f"/batches/{batch.pk}"
    text = page(desk, batch)
    for word in ("Start 3 rescues", "locked-1", "unlock it first", "Rescue distribution",
                 "Temporary password", "Hold after so many failures"):  # fmt: skip
        assert word in text
    assert "Windows" not in text  # it suits none of them
    answer = send(desk, batch, acme, reason="INC-7")
    assert answer.status_code == 302
    batch.refresh_from_db()
    assert (batch.state, batch.reason, batch.at_once) == ("running", "INC-7", 5)
    send(desk, batch, acme, reason="again")
    advance(batch)
    assert Rescue.objects.count() == 3
    text = page(desk, batch)
    assert "0 of 4 settled" not in text and "3 on the way" in text and "1 skipped" in text


def test_all_that_match_the_search_are_chosen_on_the_server(many, desk):
    answer = choose(desk, [], all="1", q="web-0")
    assert answer.status_code == 302
    assert Batch.objects.get().items.count() == 10


@pytest.mark.parametrize("sent", [{}, {"kind": "start"}, {"kind": "start", "instance": "x"},
                                  {"kind": "start", "instance": "9" * 40}])  # fmt: skip
def test_nothing_chosen_is_said(desk, teams, sent):
    answer = desk.post(reverse("instances:batch_draft"), sent)
    assert answer.status_code == 422 and b"Nothing to do" in answer.content


def test_another_teams_instances_are_not_there(many, mallory):
    outsider = Client()
    outsider.force_login(mallory)
    assert choose(outsider, many).status_code == 422
    assert not Batch.objects.exists()


@pytest.mark.parametrize(("wrong", "said"), [
    ({"at_once": 21}, "less than or equal to 20"),
    ({"at_once": 0}, "greater than or equal to 1"),
    ({"stop_after": ""}, "required"),
    ({"image": rows.WINDOWS}, "Pick one of the images"),
    ({"hours": "5000"}, "Pick one of the times"),
])  # fmt: skip
def test_what_is_wrong_is_said_beside_it_and_nothing_starts(acme, many, desk, wrong, said):
    choose(desk, many[:2])
    batch = Batch.objects.get()
    if "image" in wrong:
        wrong = {f"image-{acme.pk}": wrong["image"]}
    answer = send(desk, batch, acme, **wrong)
    assert answer.status_code == 422 and said in answer.content.decode()
    batch.refresh_from_db()
    assert batch.is_draft


def test_a_missing_reason_is_asked_for(teams, acme, many, desk):
    teams.acme.reason_required = True
    teams.acme.save()
    choose(desk, many[:2])
    answer = send(desk, Batch.objects.get(), acme)
    assert answer.status_code == 422 and "reason or a ticket" in answer.content.decode()


def test_images_that_suit_all_come_first_and_the_others_name_whom_they_do_not_suit(
    acme, many, desk
):
    large = rows.instance(acme, "large", flavor_ram=128_000)
    choose(desk, [many[0], large])
    text = page(desk, Batch.objects.get())
    assert text.index("Rescue distribution") < text.index("other image") < text.index("Windows")
    assert "Suits 1 of 2" in text and "needs more memory" in text


def test_the_board_holds_no_password_until_one_is_asked_for(many, begun, desk, carol):
    batch = advance(begun(many[:3]))
    all_become(batch, "READY")
    for made in Rescue.objects.all():
        Rescue.objects.filter(pk=made.pk).update(sealed_password=made.sealed(rows.PASSWORD))
    advance(batch)
    text = page(desk, batch)
    assert rows.PASSWORD not in text and "data-auto-reveal" not in text
    assert text.count("Show password") == 3
    shown = desk.post(reverse("instances:password", args=[Rescue.objects.first().pk]))
    assert rows.PASSWORD in shown.content.decode()
    reader = Client()
    reader.force_login(carol)
    assert "Show password" not in page(reader, batch)


def test_the_board_has_a_number_of_queries_that_does_not_grow(
    acme, many, begun, desk, django_assert_max_num_queries
):
    batch = advance(begun(many, at_once=20))
    all_become(batch, "READY")
    advance(batch)
    with django_assert_max_num_queries(60):
        page(desk, batch)


def test_many_rescues_are_one_notification(many, begun, desk):
    batch = advance(begun(many, at_once=20))
    failed = on_the_way(batch)[0]
    becomes(failed, "FAILED_CLEAN")
    advance(batch)
    text = desk.get("/notifications", headers={"HX-Request": "true"}).content.decode()
    assert text.count("<article") == 1
    assert "1 of 12 settled" in text and f"/batches/{batch.pk}" in text
    assert "Rescue mode did not start" in text  # folded under it


def test_a_rescue_that_is_tried_again_is_told_in_the_batch_alone(many, begun, desk, alice):
    batch = advance(begun(many[:1]))
    becomes(on_the_way(batch)[0], "FAILED_CLEAN")
    advance(batch)
    asked.retry(batch=batch, by=alice)
    for _turn in ("waiting", "on the way"):
        text = desk.get("/notifications", headers={"HX-Request": "true"}).content.decode()
        assert text.count("<article") == 1 and '<span class="count">1</span>' in text
        advance(batch)


def test_the_buttons_of_the_board_do_what_they_say(many, begun, desk):
    batch = advance(begun(many, at_once=2))

    def press(name: str) -> Any:
        answer = desk.post(reverse(f"instances:batch_{name}", args=[batch.pk]))
        batch.refresh_from_db()
        return answer

    press("stop")
    assert batch.state == "stopped"
    text = page(desk, batch)
    assert "Go on" in text and 'id="batch-stop"' not in text
    press("resume")
    assert batch.state == "running"
    first, second = on_the_way(batch)
    becomes(first, "FAILED_CLEAN")
    becomes(second, "READY")
    advance(batch)
    assert "Retry the 1 that failed" in page(desk, batch)
    press("retry")
    assert batch.items.get(pk=first.pk).attempt == 1
    answer = press("exit")
    out = Batch.objects.get(kind="exit")
    assert answer.url == f"/batches/{out.pk}"
    assert "Exit 1 rescue" in page(desk, out) and "umount /mnt" in page(desk, out)
    desk.post(reverse("instances:batch_begin", args=[out.pk]), {"at_once": 5, "stop_after": 3})
    advance(out)
    assert on_the_way(out)[0].rescue.is_exiting
    assert "web-0" in page(desk, batch, show="waiting")
    assert desk.post(reverse("instances:batch_dismiss", args=[batch.pk])).status_code == 409


def test_a_teams_bulk_actions_are_listed(teams, many, begun, draft, desk):
    begun(many[:2])
    draft(many[2:])
    text = desk.get(reverse("instances:batches", args=[teams.acme.pk])).content.decode()
    assert text.count("<li>") and "INC-1" in text and text.count("/batches/") >= 1
    assert asked.Batch.objects.count() == 2 and text.count('class="batch-bar"') >= 1


def test_the_review_counts_whom_no_password_can_reach(acme, many, desk):
    Instance.objects.filter(pk__in=[row.pk for row in many[:2]]).update(config_drive=False)
    said = "2 of them have no config drive, so no temporary password can reach them."
    choose(desk, many[:3])
    assert said in page(desk, Batch.objects.get())
    CloudAccount.objects.update(password_by_metadata=True)
    assert said not in page(desk, Batch.objects.get())
    Instance.objects.filter(pk=many[0].pk).update(vm_state="error", status="ERROR")
    assert "1 of them has no config drive" in page(desk, Batch.objects.get())
