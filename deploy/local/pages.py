"""RabbitMQ's management pages in a headless Chromium: what a person clicks, reads and sees.

For tests and for the pictures of docs/operations.md. Pages do not refresh themselves here: what was typed or fetched
stays.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from deploy.local import packages
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError

_WIDTH, _HEIGHT = 1140, 900
_COLOURS = 128
_STYLE = """
    #header { position: absolute !important }  /* it would cover what is scrolled into view */
    #footer { display: none }
    #msg-wrapper { padding-top: 1em }
    textarea { height: 6em !important }
"""


@contextmanager
def logged_in(broker: Broker) -> Iterator[Pages]:
    """A browser, installed when it is missing, that is logged in with the account of `broker`."""
    chromium = packages.ensure(packages.CHROMIUM)
    program = chromium.find(packages.CHROMIUM.patterns[0])
    with sync_playwright() as playwright:
        environment: dict[str, str | float | bool] = {**chromium.environment()}
        browser = playwright.chromium.launch(executable_path=program, env=environment)
        try:
            page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
            pages = Pages(page, broker)
            pages.log_in()
            yield pages
        finally:
            browser.close()


class Pages:
    """The pages of one broker, as `broker.user` sees them; `page` is the browser's, for what is not named here."""

    def __init__(self, page: Page, broker: Broker) -> None:
        self.page = page
        self._broker = broker

    def log_in(self) -> None:
        self.page.goto(self._broker.management_url)
        self.page.fill("input[name=username]", self._broker.user)
        self.page.fill("input[name=password]", self._broker.password)
        self.page.click("input[type=submit]")
        self.page.wait_for_selector("#logout")
        self.page.add_style_tag(content=_STYLE)
        self.page.select_option("#update-every", value="")

    def show(self, tab: str) -> None:
        """Open a tab: ``overview``, ``connections``, ``channels``, ``exchanges`` or ``queues``."""
        self._go("#/" if tab == "overview" else f"#/{tab}", tab.capitalize())

    def show_queue(self, name: str) -> None:
        self._go(f"#/queues/{quote(self._broker.vhost, safe='')}/{name}", f"Queue {name}")

    def section(self, title: str) -> Locator:
        """Return a part of the page that can be folded, unfolded; `title` is how its heading begins."""
        heading = self.page.locator("#main h2").filter(has_text=title).first
        section = heading.locator("xpath=..")
        if "section-invisible" in (section.get_attribute("class") or ""):
            heading.click()
        return section

    def publish(self, queue: str, payload: str, *, send: bool = True) -> Locator:
        """Fill in the form "Publish message" of a queue, and send it unless told otherwise; return its section."""
        self.show_queue(queue)
        section = self.section("Publish message")
        section.locator("textarea[name=payload]").fill(payload)
        if send:
            section.locator("input[type=submit]").click()
            self.page.locator(".form-popup-info").wait_for()
            self.page.locator(".form-popup-info span").click()
        return section

    def get_messages(self, queue: str, count: int = 1) -> Locator:
        """Use the form "Get messages", which puts them back; return what it shows: messages, or why there are none."""
        self.show_queue(queue)
        section = self.section("Get messages")
        section.locator("input[name=count]").fill(str(count))
        section.locator("input[type=submit]").click()
        shown = self.page.locator("#msg-wrapper:has(.box), .form-popup-warn, .form-popup-info").first
        shown.wait_for()
        self.page.wait_for_function("!$(':animated').length")
        return shown

    def text(self) -> str:
        """Return all that stands on the page below its tabs, as words with one space between them."""
        return " ".join(self.page.locator("#main").inner_text().split())

    def _go(self, address: str, heading: str) -> None:
        self.page.goto(f"{self._broker.management_url}/{address}")
        self.page.reload()  # the same address again would show what it showed before
        self.page.locator("#main h1", has_text=heading).wait_for()
        self.page.add_style_tag(content=_STYLE)


def picture(shown: Locator, path: Path, *, until: Locator | None = None) -> None:
    """Write what a part of a page looks like, down to where `until` begins, as a small PNG with a palette."""
    image = Image.open(io.BytesIO(shown.screenshot(animations="disabled"))).convert("RGB")
    if until is not None:
        image = image.crop((0, 0, image.width, round(_top(until) - _top(shown))))
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _top(shown: Locator) -> float:
    box = shown.bounding_box()
    if box is None:
        raise LocalServiceError(f"{shown} is not to be seen.")
    return box["y"]
