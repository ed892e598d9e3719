"""Take the pictures of the README and the guide from a demo of its own, into docs/images.

Run it as ``python -m tests.journeys.pictures`` and look at the result.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from tests.browser import Desk, chromium, saying, sign_in
from tests.journeys.cloud import Cloud
from tests.journeys.visitor import Visitor
from tests.services import ROOT, Demo, running_demo

FOLDER = ROOT / "docs" / "images"
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 760}}
LOOKS: dict[str, dict[str, Any]] = {
    "ready-dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


class Studio:
    """A demo, its cloud and a browser, for one series of pictures."""

    def __init__(self, browser: Browser, demo: Demo) -> None:
        self.browser, self.demo = browser, demo
        self.cloud = Cloud.of_credentials(demo.folder / "data" / "credentials.json")

    @contextmanager
    def desk(self, language: str = "en", **options: Any) -> Iterator[Desk]:
        """Open the panel for alice."""
        locale = {"en": "en-GB", "fr": "fr-FR"}[language]
        context = self.browser.new_context(
            locale=locale, reduced_motion="reduce", **(WIDE | options)
        )
        page = context.new_page()
        sign_in(page, self.demo.url)
        expect(page.locator("#live")).to_be_attached()
        yield Desk(page, saying(language))
        context.close()


def shoot(desk: Desk, name: str) -> None:
    """Keep what is on the screen; with pngquant installed, in a third of the size."""
    path = FOLDER / f"{name}.png"
    desk.page.wait_for_timeout(600)
    desk.page.screenshot(path=path, animations="disabled")
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--ext", ".png", "--nofs", path], check=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def story(desk: Desk, cloud: Cloud, name: str, suffix: str = "") -> None:
    """Take the pictures of one rescue, from the menu to the hidden password."""
    start, page = "Start in rescue mode", desk.page
    desk.arrow("cache-1").click()
    shoot(desk, f"menu{suffix}")
    page.keyboard.press("Escape")
    page.get_by_role("searchbox").fill("web")
    expect(desk.arrow("cache-1")).to_have_count(0)
    dialog = desk.choose(name, start)
    page.mouse.move(0, 0)
    shoot(desk, f"picker{suffix}")
    cloud.set(rescue_seconds=6)
    desk.confirm(dialog, start)
    expect(desk.told(name).locator("[aria-current=step]")).to_contain_text(
        desk.say("Shutting down, booting the rescue system")
    )
    page.mouse.move(0, 0)
    page.wait_for_timeout(2000)
    shoot(desk, f"stages{suffix}")
    desk.password(name)
    desk.button(name, "Hide password").click()
    page.mouse.move(0, 0)
    shoot(desk, f"ready{suffix}")


def finish(studio: Studio, name: str) -> None:
    """End a rescue and put what was told of it away."""
    studio.cloud.outside(name, "unrescue")
    Visitor(studio.demo.url, "alice").put_away([name])


def series(studio: Studio) -> None:
    """Take them all."""
    studio.cloud.heal()
    with studio.desk("fr") as desk:
        finish(studio, "vpn")  # in rescue from the start; the pictures show one of our own
        desk.page.reload()
        story(desk, studio.cloud, "web-1", "-fr")
        finish(studio, "web-1")
    with studio.desk() as desk:
        story(desk, studio.cloud, "web-1")
    for name, options in LOOKS.items():
        with studio.desk(**options) as desk:
            desk.page.goto(f"{studio.demo.url}/?q=web")
            shoot(desk, name)


def main() -> None:
    """Start a demo, take the pictures, stop it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=20_000)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder)) as demo,
        chromium() as browser,
    ):
        series(Studio(browser, demo))


if __name__ == "__main__":
    main()
