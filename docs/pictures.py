#!/usr/bin/env python3
"""Makes the pictures of README.md and docs/page.md: the demo's page in a real browser, light and dark.

docs/pictures.py --sensorqd BUILD/daemon/sensorqd [--directory docs/pictures]. Needs what tests/demo and the step `page`
of tests/run install; run it with that Python: /var/tmp/sensorqd-venv/bin/python docs/pictures.py ...
"""

import argparse
import contextlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from demo import Demo  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

PATIENCE = 60_000  # ms
ZONE = "Asia/Tokyo"
VIEW = {"viewport": {"width": 1200, "height": 1130}, "locale": "en-GB", "timezone_id": ZONE}


def wait_for_verdict(page, words):
    expect(page.locator("#verdict")).to_contain_text(re.compile(words), timeout=PATIENCE)


def open_page(browser, url, scheme):
    page = browser.new_context(color_scheme=scheme, **VIEW).new_page()
    end = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            page.goto(url)
            break
        except Exception:  # the daemon is not there yet
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    return page


def take(pages, directory, name):
    for scheme, page in pages.items():
        page.screenshot(path=directory / f"{name}-{scheme}.png")


def pictures(demo, browser, directory):
    url = f"http://{demo.page}/"
    pages = {scheme: open_page(browser, url, scheme) for scheme in ("light", "dark")}
    for page in pages.values():
        wait_for_verdict(page, "All is well")
        expect(page.locator(".device")).to_have_count(4, timeout=PATIENCE)
        page.reload()
        expect(page.locator(".card").nth(1).locator(".mean")).to_have_count(2, timeout=PATIENCE)
    take(pages, directory, "page")
    demo.mongodb.stop()
    for page in pages.values():
        page.set_viewport_size({"width": 1200, "height": 480})
        wait_for_verdict(page, r"MongoDB\W cannot be reached")
    take(pages, directory, "page-mongodb-down")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sensorqd", required=True, metavar="FILE", help="the binary")
    options.add_argument("--directory", type=Path, default=REPO / "docs" / "pictures")
    args = options.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    os.environ["TZ"] = ZONE  # of the rooms, too: it is cold there in the morning
    time.tzset()
    with (
        tempfile.TemporaryDirectory(prefix="sensorqd-pictures-") as state,
        contextlib.ExitStack() as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        demo = Demo(args.sensorqd, state, stack, emulator=False)
        stack.callback(demo.end)
        demo.setup()
        demo.publish_past()
        demo.start()
        pictures(demo, browser, args.directory)
        browser.close()


if __name__ == "__main__":
    main()
