"""Somebody who talks to the panel without a browser: to send what no browser sends."""

import re
import time
from html import unescape

import httpx

from tests.panel import PASSWORD

ARTICLE = re.compile(r'<article class="rescue.*?</article>', re.DOTALL)


class Visitor:
    """One person's session over plain HTTP."""

    def __init__(self, url: str, name: str = "") -> None:
        self.http = httpx.Client(base_url=url, timeout=20)
        self.origin = url
        if name:
            self.sign_in(name)

    def sign_in(self, name: str) -> None:
        self.http.get("/sign-in")
        answer = self.post("/sign-in", username=f"{name}@example.org", password=PASSWORD)
        assert answer.status_code == 302, answer.status_code

    @property
    def token(self) -> str:
        return str(self.http.cookies.get("csrf", ""))

    def get(self, path: str, *, htmx: bool = False) -> httpx.Response:
        return self.http.get(path, headers={"HX-Request": "true"} if htmx else {})

    def post(self, path: str, *, csrf: bool = True, **fields: str) -> httpx.Response:
        """Send a form as the pages do, with or without the token that proves it is theirs."""
        headers = {"X-CSRFToken": self.token} if csrf else {}
        return self.http.post(path, data=fields, headers=headers)

    def instance(self, name: str) -> int:
        """Return the number the panel gave an instance."""
        rows = re.findall(
            r'data-instance="(\d+)".*?class="clip name" title="(.*?)"',
            self.http.get("/", params={"q": name}).text, re.DOTALL,
        )  # fmt: skip
        return next(int(pk) for pk, shown in rows if unescape(shown) == name)

    def articles(self, name: str) -> list[str]:
        """Return the notifications about an instance."""
        shown = ARTICLE.findall(self.get("/notifications", htmx=True).text)
        return [one for one in shown if f'title="{name}"' in unescape(one)]

    def put_away(self, names: list[str]) -> None:
        """Dismiss what was told about these instances, as soon as it has ended."""
        deadline = time.monotonic() + 75  # a mirror nobody watches is read once a minute
        while told := [one for name in names for one in self.articles(name)]:
            assert time.monotonic() < deadline, f"still told about: {names}"
            for path in re.findall(r'action="(/rescues/[^"]+/dismiss)"', "".join(told)):
                self.post(path)
            time.sleep(0.1)
