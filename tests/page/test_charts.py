"""The charts: ranges, looking closer by mouse, touch and keys, devices, axes and gaps, in a real browser over canned
answers."""

import re

import pytest
from conftest import DRAWN, PHONE, assert_accessible, look, picture, wait_asked, wait_drawn
from playwright.sync_api import expect
from states import FIELDS, HOUR, MINUTE, alert_sink, now


def shown_range(page):
    return page.inner_text("#ranges .shown")


@pytest.mark.parametrize("name,hours", [("24 hours", 24), ("7 days", 168), ("31 days", 744), ("1 year", 8784)])
def test_ranges(view, canned, name, hours):
    page = view("well")
    wait_drawn(page)
    button = page.get_by_role("button", name=name)
    button.click()
    wait_asked(canned, hours - 0.1, hours + 0.1)
    assert button.get_attribute("aria-pressed") == "true"
    expect(page.locator(DRAWN).first).to_have_attribute("d", re.compile("M.*M"))  # the gap is a gap
    assert (
        page.locator(".limit text").first.text_content().replace("\u2068", "").replace("\u2069", "")
        == "above 28\u00a0°C: hot"
    )
    picture(page, f"range-{hours}h", "#charts-section")
    assert_accessible(page)


def test_dragging_looks_closer_and_back_goes_back(view, canned):
    page = view("well")
    wait_drawn(page)
    before = shown_range(page)
    box = page.locator(".plot").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 90, steps=4)
    expect(page.locator(".over .mark")).to_have_count(1)
    picture(page, "dragging", "#charts-section")
    page.mouse.up()
    wait_asked(canned, 6, 9.5)
    assert shown_range(page) != before
    page.get_by_role("button", name="Back").click()
    wait_asked(canned, 23.9, 24.1)


def finger(page):
    """finger(kind, share, down): a touch on the first chart, at that share of its width, so many pixels below its middle."""
    box = page.locator(".plot").first.bounding_box()
    touch = page.context.new_cdp_session(page)

    def send(kind, share=None, down=0):
        points = [] if share is None else [{"x": box["x"] + box["width"] * share, "y": box["y"] + 90 + down}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return send


def test_touch_drags_sideways(view, canned):
    page = view("well", **PHONE)
    wait_drawn(page)
    page.locator(".plot").first.scroll_into_view_if_needed()
    touch = finger(page)
    touch("touchStart", 0.3)
    for step in range(1, 6):
        touch("touchMove", 0.3 + 0.1 * step)
    touch("touchEnd")
    wait_asked(canned, 8, 18)


def test_a_tap_keeps_its_value(view):
    """Until the next tap: the values stand below the chart, where the finger was not; scrolling there is no tap."""
    page = view("well", **PHONE)
    wait_drawn(page)
    assert page.inner_text("#chart-keys").startswith("Tap a chart") and "Shift" not in page.inner_text("#chart-keys")
    page.locator(".plot").first.scroll_into_view_if_needed()
    touch, told = finger(page), page.locator(".card").first.locator(".hint, .at")
    touch("touchStart", 0.3)
    touch("touchMove", 0.305)
    touch("touchEnd")
    page.wait_for_timeout(300)
    first = told.all_inner_texts()
    assert re.fullmatch(r"\d+ \w+ \d{4},? \S*\s?\d\d:\d\d", first[0]), first
    expect(page.locator(".over .cursor")).to_have_count(1)
    picture(page, "tap", "#charts-section")
    page.locator(".plot").first.scroll_into_view_if_needed()
    top = page.evaluate("scrollY")
    touch("touchStart", 0.6)
    for step in range(1, 6):
        touch("touchMove", 0.6, -12 * step)
    touch("touchEnd")
    page.wait_for_function("top => scrollY > top", arg=top)
    assert told.all_inner_texts() == first
    touch = finger(page)
    touch("touchStart", 0.6)
    touch("touchEnd")
    assert told.all_inner_texts()[0] != first[0]


def test_a_cursor_ends_with_its_range(view):
    """Where a tap left it, other times are shown now."""
    seen = view("well").evaluate("""async () => {
        const { Chart } = await import('/chart.js');
        const chart = new Chart({ onCursor: time => told = time }), line = { time: [], minimum: [], mean: [], maximum: [] };
        const show = (from, to) => chart.show({ from, to, bucket: 1, unit: '', digits: 0, lines: [line], limits: [] });
        let told;
        show(0, 100);
        chart.setCursor(20);
        return [[10, 90], [30, 90]].map(range => (show(...range), told));
    }""")
    assert seen == [20, None]


def tab_to(page, name):
    """Presses Tab until something whose name begins so has the focus; the names on the way."""
    names = []
    while len(names) < 60 and not (names and names[-1].startswith(name)):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        )
    return names


def test_keyboard_alone(view, canned):
    page = view("well")
    wait_drawn(page)
    names = tab_to(page, "Chart of")
    assert names[0] == "24 hours" and "1 year" in names and names[-1] == "Chart of Temperature (°C)"
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    assert "Study" in page.locator(".card p[aria-live]").first.text_content()  # said aloud
    page.keyboard.down("Shift")
    for _ in range(3):
        page.keyboard.press("PageUp")
    page.keyboard.up("Shift")
    picture(page, "keyboard", "#charts-section")
    page.keyboard.press("Enter")
    wait_asked(canned, 6, 9)
    page.keyboard.press("-")
    wait_asked(canned, 12, 18)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(page.locator(".over .cursor")).to_have_count(0)
    tab_to(page, "As a table")
    page.keyboard.press("Enter")
    table = page.locator(".table table").first
    table.wait_for()
    assert table.locator("tbody tr").count() > 50
    assert table.locator("thead th").all_inner_texts() == ["Time", "Bedroom", "Study", "居間"]
    assert_accessible(page)


def test_devices_are_picked(view):
    """The first one is shown alone, others come beside it; with Shift, one is left out."""
    page = view("well")
    wait_drawn(page)
    card = page.locator(".card").first
    bedroom, study = (card.get_by_role("button", name=name) for name in ("Bedroom", "Study"))
    expect(card.locator(".line")).to_have_count(3)
    study.click()
    expect(card.locator(".line")).to_have_count(1)
    assert card.locator(".line").get_attribute("class").split()[1] in study.get_attribute("class")
    picture(page, "picked", "#charts-section")
    assert_accessible(page)
    bedroom.focus()
    page.keyboard.press("Enter")
    expect(card.locator(".line")).to_have_count(2)
    study.click()
    bedroom.click()
    expect(card.locator(".line")).to_have_count(3)
    study.click(modifiers=["Shift"])
    expect(card.locator(".line")).to_have_count(2)
    assert study.get_attribute("aria-pressed") == "false" and bedroom.get_attribute("aria-pressed") == "true"


def test_fifty_devices(view):
    page = view("fifty")
    assert page.locator(".device").count() == 50
    wait_drawn(page)
    card = page.locator(".card").first
    expect(card.locator(".line")).to_have_count(8)
    card.get_by_role("button", name="Show all 50").click()
    expect(card.locator(".line")).to_have_count(50)
    picture(page, "fifty-all", "#charts-section")
    card.get_by_role("button", name="Room 30").click()
    card.get_by_role("button", name="Show fewer").click()
    expect(card.locator(".legend button")).to_have_count(9)  # and what was picked
    expect(card.locator(".line")).to_have_count(1)


def test_a_chart_begins_with_what_matters(view, canned):
    """Where it cannot show all: what fires or is beyond a limit, then what is silent, then by name."""
    page = view("fifty")
    wait_drawn(page)
    names = page.locator(".card").first.locator(".legend bdi")
    expect(names).to_have_text([f"Room 0{i}" for i in range(8)])
    page.locator(".card").first.get_by_role("button", name="Room 03").focus()
    answers, last = canned.server.answers, canned.server.answers.last
    for one in answers.series:
        if one["device"] == "d41":
            one["limits"] = [{"rule": "hot", "kind": "above", "value": -50, "clear": -51}]
        if one["device"] == "d42":
            one["limits"] = [{"rule": "hot", "kind": "above", "value": 99, "clear": 98}]
    firing = {"source": "source-15", "device": "d45", "name": "Room 45", "field": FIELDS["te"][0], "value": 29.4}
    many = answers.status_of()
    many["subscriptions"].append(alert_sink([{"rule": "warm", "limit": 28, "since": now(), **firing}]))
    answers.status_of = lambda: many
    answers.last = lambda one: last(one) - (5 * HOUR if one["device"] == "d33" else 0)
    look(page)
    first = ["Room 41", "Room 45", "Room 33", "Room 00", "Room 01", "Room 02", "Room 03", "Room 04"]
    expect(names).to_have_text([re.compile(name) for name in first])
    expect(page.locator(".card").first.get_by_role("button", name="Room 03")).to_be_focused()
    expect(page.locator(".card").nth(1).locator(".legend bdi").first).to_contain_text("Room 41")
    picture(page, "fifty-urgent", "#charts-section")


def test_a_day_that_is_not_over(viewer, canned):
    """On a new machine the charts begin with the first value, and that is not called 24 hours; who asks for those sees
    them."""
    canned.use("well")
    for one in canned.server.answers.series:
        one["from"] = now() - 13 * MINUTE
    page = viewer.open(canned.url)
    wait_drawn(page)
    wait_asked(canned, 0.1, 0.5)
    expect(page.locator("#ranges [aria-pressed=true]")).to_have_count(0)
    page.get_by_role("button", name="24 hours").click()
    wait_asked(canned, 23.99, 24.01)
    expect(page.locator("#ranges [aria-pressed=true]")).to_have_text("24 hours")


def test_the_focus_covers_nothing(view):
    page = view("well")
    wait_drawn(page)
    tab_to(page, "Chart of")
    room = page.evaluate("""() => {
        const plot = document.activeElement, style = getComputedStyle(plot);
        const frame = parseFloat(style.outlineWidth) + parseFloat(style.outlineOffset);
        return plot.getBoundingClientRect().top - frame - plot.previousSibling.getBoundingClientRect().bottom;
    }""")
    assert room >= 0
    picture(page, "focus", "#charts-section")


def test_a_sensor_that_gives_1_for_ever_is_drawn_last(view, canned):
    """Unless the configuration gives its place."""
    page = view("old-remos")
    titles = page.locator(".card h3")
    expect(titles.last).to_have_text("Movement")
    for one in canned.server.answers.series:
        one["order"] = 1 if one["kind"] == "mo" else None
    look(page)
    expect(titles.first).to_have_text("Movement")


def test_ticks_and_gaps(view):
    """Midnight is midnight when the clocks change; a sensor's own rhythm is no gap."""
    page = view("well", timezone_id="Europe/Berlin")
    ticks, odd, slow, few = page.evaluate("""async () => {
        const { timeTicks, pieces } = await import('/chart.js');
        const from = Date.UTC(2026, 2, 27), minutes = n => Array.from({ length: n }, (_, i) => i * 60000);
        return [timeTicks(from, from + 4 * 86400000, 5).map(tick => new Date(tick.time).getHours()),
            pieces([...minutes(10), ...minutes(10).map(t => t + 3600000)], 60000), pieces(minutes(20).map(t => t * 30), 60000),
            pieces([...minutes(3), ...minutes(3).map(t => t + 3600000)], 60000)];
    }""")
    assert len(ticks) == 4 and set(ticks) == {0}
    assert odd == [[0, 9], [10, 19]]
    assert slow == [[0, 19]]
    assert few == [[0, 2], [3, 5]], "of few values, too"


def test_ticks_where_an_hour_comes_twice(view):
    """The second time, too, a close look has its times."""
    ticks = view("well", timezone_id="Europe/Berlin").evaluate("""async () => {
        const { timeTicks } = await import('/chart.js');
        const from = Date.UTC(2026, 9, 25, 1, 10);
        return timeTicks(from, from + 20 * 60000, 5).map(tick => [(tick.time - from) / 60000, tick.text]);
    }""")
    assert ticks == [[0, "02:10"], [5, "02:15"], [10, "02:20"], [15, "02:25"], [20, "02:30"]]


@pytest.mark.parametrize(
    "low,high,first,last",
    [
        (0, 0, "0.0", "1.0"),
        (1, 1, "0.0", "1.0"),
        (12_345_600, 12_345_900, "12,345,600", "12,345,900"),
        (7394.1, 7403.4, "7,395", "7,400"),
        (1e290, 1e290, "9.96E289", "1.004E290"),
        (1e-9, 1e-9, "0.0", "0.000001"),
    ],
)
def test_values_of_the_axis_are_whole(view, low, high, first, last):
    """Of a rain gauge in a dry year, and of a meter that has counted for long, no digit is cut off; what the meter
    counted in this time fills the chart."""
    shown = view("well").evaluate(
        """async values => {
        const { Chart } = await import('/chart.js');
        const chart = new Chart({});
        const line = { slot: 0, time: [1, 2], minimum: values, mean: values, maximum: values };
        document.querySelector('main').append(chart.element);
        chart.show({ from: 0, to: 4, bucket: 1, unit: '', digits: 0, lines: [line], limits: [] });
        return [...chart.element.querySelectorAll('.value')].map(text => [text.textContent, text.getBBox().x]);
    }""",
        [low, high],
    )
    assert min(x for _, x in shown) >= 0, shown
    assert (shown[0][0], shown[-1][0]) == (first, last), shown


def test_five_minutes_of_what_is_kept_by_the_hour(view):
    """The middle of that hour is beyond them."""
    drawn = view("well").evaluate("""async () => {
        const { Chart } = await import('/chart.js');
        const chart = new Chart({}), hour = 3600000, from = 10 * hour + 300000;
        const line = { slot: 0, time: [10.5 * hour], minimum: [1], mean: [2], maximum: [3] };
        chart.show({ from, to: from + 300000, bucket: hour, unit: '', digits: 0, lines: [line], limits: [] });
        return chart.element.querySelector('.mean').getAttribute('d');
    }""")
    assert re.fullmatch(r"M54\.0 [\d.]+L588\.0 [\d.]+", drawn), drawn


def test_small_values_are_not_zero(view):
    """What nothing is known of shows its first digits; and no zero has a sign."""
    shown = view("well").evaluate("""async () => {
        const { fieldOf, number } = await import('/words.js');
        const { digits } = fieldOf({ field: '/formaldehyde' });
        return [number(0.0034, digits), number(0.034, digits), number(0.126, digits), number(21.5, digits), number(-0.04, 1), number(12038.46, digits)];
    }""")
    assert shown == ["0.0034", "0.034", "0.13", "21.5", "0.0", "12,038.5"]


def test_a_long_name_does_not_break_the_value_beside_it(view):
    page = view("nasty", viewport={"width": 340, "height": 800})
    values = page.locator(".legend .at", has_text="°C")
    values.first.wait_for()
    assert values.evaluate_all("all => Math.max(...all.map(one => one.getClientRects().length))") == 1
    heights = values.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) == min(heights) > 0
