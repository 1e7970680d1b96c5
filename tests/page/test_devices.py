"""What the page makes of devices: their names, their ages, who is silent, offline or gone."""

import re

import pytest
from conftest import look
from playwright.sync_api import expect
from test_page import words


def test_a_device_is_called_as_it_was_called_last(view):
    """A field that comes no more has the name of then."""
    names = view("well").evaluate("""async () => {
        const { devicesOf } = await import('/devices.js');
        const one = (field, name, time) => ({ source: 'home', device: 'd', labels: {}, field, name, last: { time, value: 1 } });
        return [[one('/temp', 'Bedroom', 1000), one('/temperature', 'Nursery', 2000)], [one('/temp', 'Bedroom', 1000), one('/temperature', '', 2000)]]
            .map(series => devicesOf(series)[0].name);
    }""")
    assert names == ["Nursery", "Bedroom"]


def test_a_name_of_blanks_is_none(view):
    names = view("well").evaluate("""async () => {
        const { devicesOf } = await import('/devices.js');
        const of = (name, device) => devicesOf([{ source: 'home', device, labels: {}, field: '/te', name, last: { time: 1, value: 1 } }])[0].name;
        return [of(' ', 'd'), of('\u202e', ' '), of('Hall', 'd')];
    }""")
    assert names == ["d", "home", "Hall"]


def test_sensor_2_stands_before_sensor_10(view):
    names = view("well").evaluate("""async () => {
        const { devicesOf } = await import('/devices.js');
        return devicesOf(['Sensor 10', 'sensor 9', 'Sensor 1', '棚 12', '棚 3'].map(name => ({ source: 'home', device: name, labels: {}, field: '/te', name,
            last: { time: 1, value: 1 } }))).map(device => device.name);
    }""")
    assert names == ["Sensor 1", "sensor 9", "Sensor 10", "棚 3", "棚 12"]


def test_a_device_is_offline_as_it_said_last(view):
    """A field that comes no more says what was so then."""
    found = view("well").evaluate("""async () => {
        const { devicesOf, silentDevices } = await import('/devices.js');
        const parts = { sources: [], outbox: null, pubsub: { state: 'well' }, sinks: [] };
        const one = (field, online, time) => ({ source: 'home', device: 'd', labels: {}, field, name: 'Hall', online, last: { time, value: 1 } });
        return [[one('/error', false, 1000), one('/temperature', null, 2000)], [one('/error', false, 2000), one('/temperature', null, 1000)]]
            .map(series => silentDevices(devicesOf(series), { sources: [], page: {} }, parts, 3000).silent.map(device => device.silence));
    }""")
    assert found == [[], ["offline"]]


def test_only_a_meter_of_nature_buys(view):
    """What a plug or a roof counts is energy."""
    names = view("well").evaluate("""async () => {
        const { fieldOf } = await import('/words.js');
        return ['/energy_kwh', '/energy_sold_kwh', '/energy', '/total/kWh'].map(field => fieldOf({ field })).map(({ name, unit }) => `${name} (${unit})`);
    }""")
    assert names == ["Energy bought (kWh)", "Energy sold (kWh)", "Energy (kWh)", "Energy (kWh)"]


def test_unplugged_remos(view):
    """Their cloud goes on giving the last values."""
    page = view("old-remos")
    said = page.inner_text("#verdict").replace("\u2068", "").replace("\u2069", "")
    assert "居間 is offline" in said and "Study gives old values" in said and "Hall" not in said
    assert (
        page.locator(".part.waiting .says").first.text_content().replace("\u2068", "").replace("\u2069", "")
        == "Silent: Study, 居間"
    )
    ages = {
        name: page.locator(".device", has_text=name).locator(".age").text_content()
        for name in ("居間", "Study", "Hall", "Bedroom")
    }
    for name in ("Hall", "Bedroom"):  # about 20: status and series are answers of two moments
        assert re.fullmatch(r"\d+ sec ago", ages.pop(name))
    assert ages == {"居間": "Offline: last change 5 hr ago", "Study": "Old values: last change 19 days ago"}
    for name in page.locator(".device h3").all():
        assert name.bounding_box()["height"] < 40, "a short name is on one line"
    hall = page.locator(".device", has_text="Hall")
    assert hall.locator("dd").all_text_contents()[1].endswith("unchanged for 3 days")
    assert (
        hall.locator("dt").all_text_contents()[2] == "Last movement"
        and hall.locator(".value").all_text_contents()[2] == "9 hr ago"
    )


@pytest.mark.parametrize(
    "locale,note,age",
    [
        ("en-GB", "1 device has been silent for more than 30 days.", "Last seen 45 days ago"),
        ("ja-JP", "1 台のデバイスは 30 日以上、値が届いていません。", "最後の値は 45 日前"),
    ],
)
def test_a_device_that_was_taken_away(view, locale, note, age):
    """It stays in the list, last, and spoils nothing."""
    page = view("gone", locale=locale)
    expect(page.locator("#verdict")).to_contain_text(note)
    assert page.locator(".waiting").count() == 0
    assert words(page.locator(".device h3"))[-1] == "居間" and page.locator(".device.gone").count() == 1
    assert page.locator(".device").last.locator(".age").text_content() == age


def test_what_was_taken_away_leaves_its_place_in_the_charts(view, canned):
    """A chart begins with eight devices: not with those that are gone."""
    page = view("gone")
    for one in canned.server.answers.series:
        one["name"] = "Attic" if one["device"] == "d1" else one["name"]
    look(page)
    expect(page.locator(".card").first.locator(".legend bdi")).to_have_text(["Bedroom", "Study", "Attic"])


def test_remos_that_are_unplugged_for_good(view):
    page = view("sold-remos")
    expect(page.locator("#verdict")).to_contain_text("2 devices have been silent for more than 30 days.")
    assert words(page.locator(".device.gone .age")) == ["Last seen 49 days ago"] * 2


@pytest.mark.parametrize("locale", ["en-GB", "en-ZA"])
def test_a_large_value_is_broken_before_its_unit(view, locale):
    """7,403.4 kW, and h in the next line, is another unit; and 7 with 403,4 kWh in the next line another value."""
    lines = view("well", locale=locale).evaluate("""async () => {
        const { deviceElement } = await import('/devices.js');
        const last = { time: 1000, value: 7403.4 }, list = document.querySelector('#devices');
        const series = ['/energy_kwh', '/energy_sold_kwh'].map(field => ({ source: 'home', device: 'd', field, last }));
        list.replaceChildren(deviceElement({ name: 'Meter', source: 'home', labels: [], series }, 2000));
        list.style.width = '270px';
        const text = list.querySelector('.value').firstChild, unit = text.data.indexOf('kWh');
        return [[0, unit - 1], [unit, text.length]].map(([first, end]) => {
            const range = document.createRange();
            range.setStart(text, first);
            range.setEnd(text, end);
            return range.getClientRects().length;
        });
    }""")
    assert lines == [1, 1]


@pytest.mark.parametrize("width", [246, 270, 300, 366])
def test_no_number_is_broken(view, width):
    """1,236,215. with 7 kWh in the next line is another value; nor does one reach into the next, or out of its card."""
    found = view("well").evaluate(
        """async width => {
        const { deviceElement } = await import('/devices.js');
        const values = { temp: -40000.5, hum: 51, power_w: 1e6, energy_kwh: 1236215.7, pressure: 1015, total_kwh: 999999999999999,
            a_field_with_a_very_long_name_that_somebody_gave_it: 1, battery: 92 };
        const series = Object.entries(values).map(([name, value]) => ({ source: 'home', device: 'd', field: `/${name}`, last: { time: 1000, value } }));
        const list = document.querySelector('#devices');
        list.replaceChildren(deviceElement({ name: 'Meter', source: 'home', labels: [], series }, 2000));
        list.style.width = `${width}px`;
        const card = list.firstChild.getBoundingClientRect(), boxes = [];
        for (const value of list.querySelectorAll('.value')) {
            const text = value.firstChild, range = document.createRange(), end = text.data.search(/ [^ ]*$/);
            range.setStart(text, 0);
            range.setEnd(text, end < 0 ? text.length : end);
            const rects = [...range.getClientRects()];
            boxes.push([rects.length, rects[0].left, rects[0].right, rects[0].top]);
        }
        return [card.right, boxes];
    }""",
        width,
    )
    right, boxes = found
    assert [lines for lines, *_ in boxes] == [1] * len(boxes)
    assert max(end for _, _, end, _ in boxes) <= right
    for (_, _, end, top), (_, begin, _, below) in zip(boxes, boxes[1:]):
        assert top != below or end <= begin


def test_a_card_is_as_high_as_what_is_in_it(view):
    heights = [card.bounding_box()["height"] for card in view("well").locator(".device").all()]
    assert len(set(heights)) > 1, heights
