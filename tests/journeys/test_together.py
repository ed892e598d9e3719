"""Several people at once: one wins, all follow, and nobody sees another team's."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser import Desk
from tests.journeys.cloud import Cloud
from tests.journeys.visitor import Visitor
from tests.services import wait_until

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
START = "Start in rescue mode"


def test_of_two_who_start_at_the_same_moment_one_wins_and_both_follow(
    visit: Visit, borrow: Borrow, cloud: Cloud
) -> None:
    name = borrow("db-primary")
    alice, bob = visit("alice"), visit("bob")
    dialogs = [desk.choose(name, START) for desk in (alice, bob)]
    for dialog in dialogs:  # neither click waits for an answer
        dialog.get_by_role("button", name=START, exact=True).dispatch_event("click")

    wait_until(lambda: sum(one.count() for one in dialogs) == 1, "one of the two winning")
    winner, loser, who = (alice, bob, "Alice") if dialogs[1].count() else (bob, alice, "Bob")
    refusal = loser.dialog(START).get_by_role("alert")
    expect(refusal).to_have_text(f"Already being put in rescue mode by {who}.")
    loser.page.keyboard.press("Escape")
    for desk in (alice, bob):
        desk.sees(name, "Ready after")
        desk.sees(name, who)
    password = winner.password(name)
    expect(loser.secret(name)).to_have_count(0)
    loser.button(name, "Show password").click()
    assert loser.password(name) == password
    assert cloud.lets_in(name, password)
    assert len(cloud.actions(name)) == 1

    loser.leave(name)
    for desk in (alice, bob):
        desk.sees(name, "Out of rescue mode")
        expect(desk.secret(name)).to_have_count(0)
    loser.button(name, "Dismiss").click()
    expect(loser.told(name)).to_have_count(0)
    expect(winner.told(name)).to_have_count(1)  # each puts away for himself


def test_who_may_only_look_sees_it_happen_and_can_do_nothing(visit: Visit, borrow: Borrow) -> None:
    name = borrow("cache-2")
    alice, carol = visit("alice"), visit("carol")
    alice.start(name)
    carol.sees(name, "Rescue mode is starting")
    carol.sees(name, "Ready after")
    password = alice.password(name)
    assert password not in carol.page.content()
    expect(carol.told(name).get_by_text("Temporary password", exact=True)).to_have_count(0)
    expect(carol.told(name).get_by_role("link", name="Exit rescue mode")).to_have_count(0)
    for button in ("Show password", "Cancel", "Dismiss"):
        expect(carol.button(name, button)).to_have_count(0)
    carol.arrow(name).click()
    for action in (START, "Exit rescue mode"):
        expect(carol.item(action)).to_be_disabled()
        expect(carol.item(action)).to_have_accessible_description("Your role may only look.")


def test_another_team_sees_nothing_of_it(
    visit: Visit, borrow: Borrow, visitors: dict[str, Visitor]
) -> None:
    name = borrow("mail")
    alice = visit("alice")
    alice.start(name)
    alice.password(name)
    pk = visitors["alice"].instance(name)
    for stranger in (visit("mallory"), visit("sam")):
        expect(stranger.arrow(name)).to_have_count(0)
        expect(stranger.told(name)).to_have_count(0)
        for path in (f"/instances/{pk}/rescue", f"/instances/{pk}/exit"):
            answer = stranger.page.goto(path)
            assert answer is not None
            assert answer.status == 404
            heading = stranger.page.get_by_role("heading", name="Not found")
            expect(heading).to_be_visible()
