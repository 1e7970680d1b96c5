"""A real Chromium before the page. Every view must end without a console error, a report of the content security
policy, or a script's error."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from canned import Canned  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

expect.set_options(timeout=60_000)

PICTURES = Path(os.environ.get("SENSORQD_PAGE_PICTURES", "/var/tmp/sensorqd-page"))
# a zone where it is about noon: what was an hour ago was today, whenever the tests run
NOON = f"Etc/GMT{time.gmtime().tm_hour - 12:+d}"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DRAWN = ".plot .mean"
# Reports of the policy become console messages that a test cannot miss.
WATCH = "document.addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));"


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("not installed: chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )  # no sandbox: the tests may run as root
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def canned_server():
    server = Canned()
    yield server
    server.close()


@pytest.fixture
def canned(canned_server):
    yield canned_server
    canned_server.server.mute, canned_server.server.below = False, ""


class Viewer:
    """Opens pages and keeps what they complained of."""

    def __init__(self, browser):
        self.browser, self.complaints, self.contexts, self.expected = browser, [], [], None

    def open(self, url, **options):
        options = {
            "viewport": {"width": 1280, "height": 900},
            "locale": "en-GB",
            "timezone_id": NOON,
            "reduced_motion": "reduce",
            **options,
        }
        context = self.browser.new_context(**options)
        self.contexts.append(context)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        page.wait_for_selector("#verdict .verdict")
        return page

    def close(self):
        for context in self.contexts:
            context.close()


@pytest.fixture
def viewer(chromium):
    viewer = Viewer(chromium)
    yield viewer
    viewer.close()
    assert [
        complaint for complaint in viewer.complaints if not viewer.expected or viewer.expected not in complaint
    ] == []


@pytest.fixture
def view(viewer, canned):
    """view(state, ...): the page over canned answers."""

    def open_state(state, **options):
        canned.use(state)
        return viewer.open(canned.url, **options)

    return open_state


def picture(page, name, top="body"):
    """What stands in the window from that element on; kept beside the log of the step."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.locator(top).evaluate("element => element.scrollIntoView()")
    page.screenshot(path=PICTURES / f"{name}.png")


def assert_accessible(page):
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def look(page):
    """The next look of the page, at once."""
    with page.expect_response("**/api/series"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def wait_drawn(page):
    page.locator(".card").first.scroll_into_view_if_needed()
    page.wait_for_selector(f".card:first-child {DRAWN}")


def wait_asked(canned, low, high, until=lambda: float("inf")):
    """Until values of so many hours were asked for last, that end before a time."""
    end, hours = time.monotonic() + 60, None
    while time.monotonic() < end:
        asked = [path for path in canned.server.answers.asked if path.startswith("/api/values")] or ["?from=0&to=0"]
        parts = dict(part.split("=") for part in asked[-1].split("?")[1].split("&"))
        hours = (int(parts["to"]) - int(parts["from"])) / 3_600_000
        if low <= hours <= high and int(parts["to"]) < until():
            return
        time.sleep(0.05)
    raise AssertionError(f"{hours} hours")
