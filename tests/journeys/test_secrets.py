"""The temporary password in the browser: seen when wanted, and left behind nowhere."""

import json
from collections.abc import Callable

from playwright.sync_api import Page, Request, expect

from tests.browser import Desk, sign_in

Visit, Borrow = Callable[..., Desk], Callable[[str], str]
STORED = """() => JSON.stringify([
  Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, history.state,
  performance.getEntries().map(entry => entry.name), location.href, document.title,
])"""


def left_in(page: Page, password: str) -> list[str]:
    """Name the places of a page where the password still is."""
    places = {"page": page.content(), "storage": str(page.evaluate(STORED))}
    places["databases"] = json.dumps(page.evaluate("indexedDB.databases()"))
    places["caches"] = json.dumps(page.evaluate("caches.keys()"))
    return [name for name, content in places.items() if password in content]


def test_what_is_hidden_or_left_is_gone(visit: Visit, borrow: Borrow) -> None:
    name = borrow("windows-ad")
    desk = visit("")
    sign_in(desk.page, "/")
    page = desk.page
    desk.start(name)
    password = desk.password(name)
    assert left_in(page, password) == ["page"]

    desk.button(name, "Hide password").click()
    expect(desk.secret(name)).to_have_count(0)
    assert left_in(page, password) == []

    desk.button(name, "Show password").click()
    assert desk.password(name) == password
    page.goto("/notifications")
    assert left_in(page, password) == []
    page.go_back()
    desk.sees(name, "Ready after")
    expect(desk.secret(name)).to_have_count(0)
    assert left_in(page, password) == []

    desk.button(name, "Show password").click()
    assert desk.password(name) == password
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("E-mail")).to_be_visible()
    assert left_in(page, password) == []
    page.go_back()
    assert left_in(page, password) == []


def test_a_search_or_a_filter_keeps_no_copy_for_the_back_button(
    visit: Visit, borrow: Borrow
) -> None:
    name = borrow("web-3")
    desk = visit("alice")
    desk.start(name)
    password = desk.password(name)
    desk.page.get_by_role("link", name="In rescue").click()
    expect(desk.page).to_have_url("/?status=rescue")
    expect(desk.secret(name)).to_be_visible()  # the panel stays as it is
    desk.page.go_back()
    expect(desk.page).to_have_url("/")
    expect(desk.arrow("web-1")).to_be_visible()
    desk.button(name, "Hide password").or_(desk.button(name, "Show password")).first.wait_for()
    if desk.secret(name).count():
        desk.button(name, "Hide password").click()
    assert left_in(desk.page, password) == []


def test_a_page_in_the_background_hides_it(visit: Visit, borrow: Borrow) -> None:
    name = borrow("cache-1")
    desk = visit("alice")
    desk.start(name)
    password = desk.password(name)
    desk.page.evaluate(
        """() => { Object.defineProperty(document, "hidden", { value: true, configurable: true });
                   document.dispatchEvent(new Event("visibilitychange")); }"""
    )
    expect(desk.secret(name)).to_have_count(0)
    assert left_in(desk.page, password) == []


def holding(finished: list[Request], password: str) -> list[str]:
    """Return how the answers that hold the password may be kept; forget them all."""
    answers = [answer for request in finished if (answer := request.response()) and answer.ok]
    assert all(password not in request.url for request in finished)
    finished.clear()
    found = [answer for answer in answers if password in answer.text()]
    assert all(answer.request.method == "POST" for answer in found)
    return [answer.headers["cache-control"] for answer in found]


def test_the_answers_that_hold_it_are_kept_by_nothing(visit: Visit, borrow: Borrow) -> None:
    name = borrow("cache-2")
    desk = visit("alice")
    finished: list[Request] = []
    desk.page.on("requestfinished", lambda request: finished.append(request))
    desk.start(name)
    password = desk.password(name)
    [shown_by_itself] = holding(finished, password)
    desk.page.reload()
    finished.clear()  # the bodies of the page before are gone with it
    desk.button(name, "Show password").click()
    assert desk.password(name) == password
    [shown_again] = holding(finished, password)
    assert "no-store" in shown_by_itself
    assert "no-store" in shown_again
