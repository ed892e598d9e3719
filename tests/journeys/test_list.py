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


def test_the_age_of_the_list_is_told_by_the_stream_alone(visit: Visit) -> None:
    desk = visit("alice")
    expect(desk.page.locator("#live")).to_contain_text("Live")
    desk.page.wait_for_timeout(1500)  # the stream begins with a look at everything
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    ages = []
    for _second in range(9):
        desk.page.wait_for_timeout(1000)
        ages.append(int(desk.page.locator(".freshness time").inner_text().split()[0]))
    assert max(ages) <= 8, ages  # read every three seconds while somebody looks, by one worker
    assert min(ages[3:]) < max(ages[:3]) + 3, ages
    assert not asked, asked


def test_changes_of_machines_not_in_view_ask_for_the_table_seldom(visit: Visit) -> None:
    desk = visit("alice")
    desk.page.goto("/?q=vpn")
    expect(desk.page.locator("#live")).to_contain_text("Live")
    desk.page.wait_for_timeout(1500)
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    desk.page.evaluate(
        """async () => {
          for (let n = 1; n <= 40; n++) {
            const topics = `instance:${900000 + n}`;
            document.dispatchEvent(new CustomEvent("panel:changed", { detail: { topics } }));
            await new Promise((done) => setTimeout(done, 100));
          }
        }"""
    )
    desk.page.wait_for_timeout(3500)
    assert 2 <= len(asked) <= 3, asked
    assert all("q=vpn" in url for url in asked), asked
