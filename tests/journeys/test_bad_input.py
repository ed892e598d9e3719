"""What no honest browser sends: refused with a sentence, and nothing changed."""

import contextlib
import http.client
import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest

from tests.journeys.cloud import Cloud
from tests.journeys.visitor import Visitor

MEGABYTE = "x" * 1_000_000
UNTOUCHED = "web-1"


@pytest.fixture
def nobody(demo: SimpleNamespace) -> Visitor:
    """Give a session of somebody who has not signed in."""
    visitor = Visitor(demo.url)
    visitor.get("/sign-in")
    return visitor


@pytest.fixture(autouse=True)
def nothing_changes(cloud: Cloud) -> Iterator[None]:
    """Fail when the cloud was asked to do anything."""
    before = cloud.posts()
    yield
    assert cloud.posts() == before


@pytest.fixture
def alice(visitors: dict[str, Visitor]) -> Visitor:
    return visitors["alice"]


@pytest.fixture
def path(alice: Visitor) -> str:
    return f"/instances/{alice.instance(UNTOUCHED)}/rescue"


@pytest.fixture
def form(alice: Visitor, path: str) -> dict[str, str]:
    """Give what the dialog would send."""
    page = alice.get(path).text
    image = page.split('type="radio"')[1].split('value="')[1].split('"')[0]
    return {"image": image, "idempotency_key": str(uuid.uuid4())}


def refused(answer: httpx.Response, status: int, sentence: str) -> None:
    assert answer.status_code == status
    assert sentence in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("what", ["rescue", "exit", "reboot", "row"])
def test_an_unknown_instance_is_not_found(alice: Visitor, what: str) -> None:
    sentence = "There is nothing here, or it does not belong to your teams."
    refused(alice.get(f"/instances/987654321/{what}"), 404, sentence)
    if what != "row":
        refused(alice.post(f"/instances/987654321/{what}"), 404, sentence)


@pytest.mark.parametrize("what", ["rescue", "exit", "reboot"])
def test_another_teams_instance_is_not_found(
    alice: Visitor, visitors: dict[str, Visitor], form: dict[str, str], what: str
) -> None:
    mallory = visitors["mallory"]
    theirs, ours = mallory.instance("shop-1"), alice.instance(UNTOUCHED)
    refused(alice.post(f"/instances/{theirs}/{what}", **form), 404, "Nothing")
    refused(mallory.post(f"/instances/{ours}/{what}", **form), 404, "There is nothing here")


@pytest.mark.parametrize("what", ["password", "cancel", "dismiss"])
def test_an_unknown_rescue_is_not_found(alice: Visitor, what: str) -> None:
    refused(alice.post(f"/rescues/{uuid.uuid4()}/{what}"), 404, "There is nothing here")
    refused(alice.post(f"/rescues/nonsense/{what}"), 404, "There is nothing here")


def test_who_may_only_look_is_told_so(
    visitors: dict[str, Visitor], path: str, form: dict[str, str]
) -> None:
    refused(visitors["carol"].post(path, **form), 403, "Your role may only look.")


@pytest.mark.parametrize(
    ("image", "status", "sentence"),
    [
        ("5e7e84d3-b45b-45dd-ad74-04aaae462651", 422, "Pick one of the images in the list."),
        ("", 422, "Pick one of the images."),
        ("../../etc/passwd", 422, "Pick one of the images in the list."),
        ("<script>alert(1)</script>", 422, "Pick one of the images in the list."),
        ("\x00", 422, "Null characters are not allowed."),
        ("🛟", 422, "Pick one of the images in the list."),
        ("x" * 65, 422, "Pick one of the images in the list."),
        (MEGABYTE, 400, "What was sent is too large"),
    ],
)
def test_a_wrong_image_is_refused(
    alice: Visitor, path: str, form: dict[str, str], image: str, status: int, sentence: str
) -> None:
    answer = alice.post(path, **form | {"image": image})
    refused(answer, status, sentence)
    assert not image or image not in answer.text


def test_an_image_that_does_not_suit_is_refused_with_the_reason(
    alice: Visitor, path: str, form: dict[str, str]
) -> None:
    page = alice.get(path).text
    place = page.index("Forensics workstation")
    image = page[:place].rsplit('value="', 1)[1].split('"')[0]
    refused(alice.post(path, **form | {"image": image}), 422, "needs more memory")


@pytest.mark.parametrize("key", ["", "nonsense", "0" * 31, "<script>", "\x00", "' or 1=1 --"])
def test_a_forged_key_is_refused(alice: Visitor, path: str, form: dict[str, str], key: str) -> None:
    refused(alice.post(path, **form | {"idempotency_key": key}), 400, "Open it again.")


def test_a_form_without_its_token_is_refused(
    alice: Visitor, path: str, form: dict[str, str]
) -> None:
    refused(alice.post(path, csrf=False, **form), 403, "This form is no longer valid")
    answer = alice.http.post(path, data=form, headers={"X-CSRFToken": "forged" * 10})
    refused(answer, 403, "Nothing was changed.")
    headers = {"X-CSRFToken": alice.token, "Origin": "https://evil.example"}
    refused(alice.http.post(path, data=form, headers=headers), 403, "Nothing was changed.")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(alice: Visitor, path: str, method: str) -> None:
    answer = alice.http.request(method, path, headers={"X-CSRFToken": alice.token})
    refused(answer, 405, "Nothing was changed.")


@pytest.mark.parametrize("what", ["password", "cancel", "dismiss"])
def test_an_action_by_link_is_refused(alice: Visitor, what: str) -> None:
    refused(alice.get(f"/rescues/{uuid.uuid4()}/{what}"), 405, "Nothing was changed.")


def test_signing_out_by_link_is_refused(alice: Visitor) -> None:
    refused(alice.get("/sign-out"), 405, "Nothing was changed.")
    assert alice.get("/").status_code == 200


def test_nobody_gets_in_without_signing_in(
    nobody: Visitor, path: str, form: dict[str, str]
) -> None:
    for answer in (nobody.get("/"), nobody.get(path), nobody.post(path, **form)):
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in?next=")
    assert nobody.get("/events").status_code == 401


@pytest.mark.parametrize(
    "query",
    ["<script>alert(1)</script>", "\x00", "🛟", "‮abc", "%", "_", "'; drop table", "x" * 5_000],
)
def test_any_search_is_harmless(alice: Visitor, query: str) -> None:
    answer = alice.http.get("/", params={"q": query, "status": query, "sort": query, "page": query})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("page", ["0", "-1", "9999999999999", "1e3", "", "١"])
def test_any_page_number_is_harmless(alice: Visitor, page: str) -> None:
    assert alice.http.get("/", params={"page": page}).status_code == 200


def long_search(url: str) -> int:
    """Send an address of a megabyte, which httpx refuses to."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", f"/?q={MEGABYTE}")
        return connection.getresponse().status


def test_a_megabyte_is_too_much(alice: Visitor, nobody: Visitor) -> None:
    assert long_search(alice.origin) in (400, 414, 431)
    assert alice.get("/").status_code == 200
    answer = nobody.post("/sign-in", username=MEGABYTE, password="x")
    refused(answer, 400, "What was sent is too large or malformed. Nothing was changed.")


@pytest.mark.parametrize("name", ["alice@example.org\x00", "<script>", "🛟@example.org", ""])
def test_a_strange_sign_in_is_refused(nobody: Visitor, name: str) -> None:
    answer = nobody.post("/sign-in", username=name, password="wrong")
    assert answer.status_code == 422
    assert "<script>" not in answer.text.split("<main")[1]


@pytest.mark.parametrize(
    "there", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(nobody: Visitor, there: str) -> None:
    answer = nobody.post("/sign-in", username="bob@example.org", password="rescue-demo", next=there)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
