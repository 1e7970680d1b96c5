"""The daemon's own page: what a person sees while each part of the real chain is cut off, one after the other, and
comes back."""

import contextlib
import os
import re
import time

import pytest
import requests
from conftest import assert_accessible, picture
from demo import Demo
from playwright.sync_api import expect
from services import ports

PATIENCE = 60_000  # ms
RULES = [
    {"name": "warm", "where": {"name": "Living room"}, "field": "/newest_events/te/val", "above": 10}
]  # fires at once
SENSORQD = os.environ.get("SENSORQD", "")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if not SENSORQD:
        pytest.fail("SENSORQD names no daemon")
    with contextlib.ExitStack() as stack:
        demo = Demo(
            SENSORQD,
            tmp_path_factory.mktemp("demo"),
            stack,
            emulator=False,
            rules=RULES,
            page=f"127.0.0.1:{ports.free_port()}",
        )
        demo.environment["SENSORQD_TEST_INTERVAL_MSEC"] = "1000"
        demo.setup()
        demo.publish_past()
        demo.start()
        stack.callback(demo.end)
        wait_for_page(demo)
        yield demo


def wait_for_page(demo):
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://{demo.page}/healthz", timeout=10)
        assert demo.process.poll() is None
        time.sleep(0.1)
    raise AssertionError("no page")


@pytest.fixture
def page(demo, viewer):
    page = viewer.open(f"http://{demo.page}/")
    expect(page.locator("#verdict")).to_contain_text("Every reading reaches its destination", timeout=PATIENCE)
    return page


def cut_off(service, match, status):
    service.faults.add({"match": match, "times": -1, "action": {"type": "status", "status": status}})


def sees(page, verdict, name, *states):
    """The verdict, and the states from left to right: the two sources stand below one another."""
    expect(page.locator("#verdict")).to_contain_text(re.compile(verdict), timeout=PATIENCE)
    for stage, state in zip(page.locator(".stage").all(), states):
        expect(stage.locator(".part").first).to_have_class(re.compile(f"^part {state} "), timeout=PATIENCE)
    picture(page, f"daemon-{name}")


def test_charts_of_a_week(page):
    expect(page.locator(".device")).to_have_count(4, timeout=PATIENCE)
    assert page.locator(".device", has_text="Bedroom").locator("dt").all_inner_texts() == ["Temperature"]
    page.get_by_role("button", name="7 days").click()
    page.locator(".card").first.scroll_into_view_if_needed()
    expect(page.locator(".card").first.locator(".mean")).to_have_count(3, timeout=PATIENCE)
    expect(page.locator(".card").first.locator(".mean").first).to_have_attribute(
        "d", re.compile(r"(L[^L]*){250}"), timeout=PATIENCE
    )
    expect(page.locator(".card h3")).to_have_text(
        ["Temperature (°C)", "Humidity (%)", "CO₂ (ppm)", "Light", "Movement"]
    )
    picture(page, "daemon-week", "#charts-section")
    expect(page.locator(".limit text").first).to_contain_text("above 10")
    expect(page.locator("#alerts")).to_contain_text(
        re.compile(r"Living room\W+Temperature\W+is [\d.]+\W+C \(limit 10"), timeout=PATIENCE
    )
    assert_accessible(page)


def test_mongodb_away_and_back(demo, page):
    demo.mongodb.stop()
    sees(page, r"MongoDB\W cannot be reached", "mongodb-down", "well", "well", "waiting", "failing")
    assert_accessible(page)
    demo.mongodb.start()
    sees(page, "Every reading reaches its destination", "mongodb-back", "well", "well", "well", "well")


def test_pubsub_away_and_back(demo, page):
    cut_off(demo.pubsub, "/v1/", 503)
    sees(page, "Pub/Sub does not work at present", "pubsub-down", "well", "waiting", "failing")
    demo.pubsub.faults.clear()
    sees(page, "Every reading reaches its destination", "pubsub-back", "well", "well", "well", "well")


def test_source_away_and_back(demo, page):
    cut_off(demo.remo, "/1/devices", 500)
    sees(page, r"home\W does not work at present", "source-down", "failing", "well", "well", "well")
    demo.remo.faults.clear()
    sees(page, "Every reading reaches its destination", "source-back", "well", "well", "well", "well")
