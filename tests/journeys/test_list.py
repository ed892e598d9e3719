"""The list: searched, filtered, sorted; what one asked for wins over what refreshes by itself."""

from collections.abc import Callable

from playwright.sync_api import Route, expect

from tests.browser import Desk

Visit = Callable[..., Desk]


def names(desk: Desk) -> list[str]:
    return desk.page.locator("tbody .name").all_inner_texts()


def test_a_search_narrows_the_list_and_stays_in_the_address(visit: Visit) -> None:
    desk = visit("alice")
    desk.page.get_by_role("searchbox").fill("web 127.77.1")
    expect(desk.arrow("mail")).to_have_count(0)
    assert names(desk) == sorted(names(desk))
    assert {"web-1", "web-2"} <= set(names(desk))
    expect(desk.page.locator("#announcer")).to_have_text(f"{len(names(desk))} instances found")
    desk.page.reload()
    expect(desk.page.get_by_role("searchbox")).to_have_value("web 127.77.1")
    expect(desk.arrow("mail")).to_have_count(0)


def test_filters_and_columns_narrow_and_sort(visit: Visit) -> None:
    desk = visit("alice")
    desk.page.get_by_role("link", name="Error").click()
    expect(desk.arrow("web-1")).to_have_count(0)
    expect(desk.arrow("search-2")).to_be_visible()
    desk.page.get_by_role("link", name="All").click()
    expect(desk.arrow("web-1")).to_be_visible()
    desk.page.get_by_role("columnheader").get_by_role("link", name="Name").click()
    column = desk.page.get_by_role("columnheader", name="Name")
    expect(column).to_have_attribute("aria-sort", "descending")
    assert names(desk) == sorted(names(desk), key=str.lower, reverse=True)


def test_a_search_is_not_lost_to_a_refresh_under_way(visit: Visit) -> None:
    desk = visit("alice")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route) if "q=" not in route.request.url else route.continue_()

    desk.page.route(lambda url: url.split("?")[0].endswith("/"), hold)
    desk.page.evaluate("htmx.trigger('#instances', 'refresh')")
    desk.page.wait_for_function("document.querySelector('#instances').matches('.htmx-request')")
    desk.page.get_by_role("searchbox").fill("vpn")
    expect(desk.page.locator("tbody tr")).to_have_count(1)
    for route in held:
        route.continue_()
    desk.page.wait_for_timeout(500)
    assert names(desk) == ["vpn"]
