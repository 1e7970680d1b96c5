"""What a person sees and does on the page, in a real browser over canned answers of the API."""

import json
import re
import time

import pytest
from conftest import PHONE, assert_accessible, look, picture, wait_asked, wait_drawn
from playwright.sync_api import expect
from states import KINDS, NASTY, STATES, now

# state -> the verdict, and the states of the parts from left to right
SEEN = {
    "well": ("All is well", "well well well well"),
    "mongodb-down": ("MongoDB cannot be reached", "well well waiting failing"),
    "pubsub-down": ("Google Pub/Sub cannot be reached", "well waiting failing waiting"),
    "source-down": ("home refuses access", "failing well well well"),
    "outbox-full": ("The outbox is full", "waiting failing failing waiting"),
    "disk-refuses": ("This machine's disk is full", "waiting failing well well"),
    "missing-subscription": ("The Pub/Sub subscription for MongoDB is missing", "well waiting waiting failing"),
    "no-token": ("Google refuses access", "well waiting failing waiting"),
    "lost": ("4,312 messages from broker are lost", "well well well well well"),
    "garbled": ("Nothing that broker sends can be understood", "failing well well well well"),
    "disk-unread": ("This machine's disk cannot be read", "well failing waiting waiting"),
    "clock-wrong": ("This machine's clock is wrong", "well well well well well"),
    "each-kind": ("source-unanswered does not answer", None),
    "starting": ("Just started", "waiting well well waiting"),
    "untried": ("MongoDB waits", "well well well waiting"),
    "many-parts": ("source-20 cannot be reached", None),
    "alerts": ("sensorqd works", "well well well well well"),
    "alert-target-down": ("Alerts cannot be sent to family", "well well well failing well"),
    "many-firing": ("sensorqd works", "well well well well well"),
    "target-refuses": ("Google Pub/Sub cannot be reached", "well well failing failing well"),
    "silent": ("居間 is silent", "waiting well well well"),
    "gone": ("All is well", "well well well well"),
    "old-remos": ("居間 is offline", "waiting well well well"),
    "sold-remos": ("All is well", "well well well well"),
    "subscriber-only": ("All is well", "well well"),
    "subscriber-cut-off": ("Google Pub/Sub cannot be reached", "failing waiting"),
    "refused-reload": ("All is well", "well well well well"),
    "empty": ("All is well", "well well well well"),
    "fifty": ("source-20 cannot be reached", None),
    "nasty": ("gives no readings", None),
}

# state -> what to do, in English and Japanese
TODO = {
    "source-down": (
        "put a valid token or secret into its file, and restart sensorqd",
        "有効なトークンまたはシークレットをファイルに入れ、sensorqd を再起動してください",
    ),
    "missing-subscription": ("sensorqd setup", "sensorqd setup"),
    "no-token": (
        "check the service account and its key; a new key needs a restart of sensorqd",
        "サービスアカウントと鍵を確認してください。鍵を替えたら sensorqd を再起動してください",
    ),
    "pubsub-down": (
        "look at this machine's network and name resolution",
        "このマシンのネットワークと名前解決を確認してください",
    ),
    "mongodb-down": (
        "see whether MongoDB runs, and whether its address in the configuration is right",
        "MongoDB が動いているか、設定のアドレスが正しいかを確認してください",
    ),
    "disk-refuses": (
        "free space on this machine's disk; sensorqd then resumes by itself",
        "このマシンのディスクを空けてください。自動的に再開します",
    ),
    "clock-wrong": ("set this machine's clock (timedatectl)", "このマシンの時計を合わせてください (timedatectl)"),
    "target-refuses": (
        "its host was found, but nothing listens at that port: see whether the service runs there, and whether its "
        "address in the configuration is right",
        "ホストには届きますが、そのポートで待ち受けがありません。そこでサービスが動いているか、設定のアドレスが正しいかを確認してください",
    ),
    "alert-target-down": (
        "wait until the quota resets, or raise it",
        "割り当てがリセットされるまで待つか、割り当てを増やしてください",
    ),
}


def part_states(page):
    return page.eval_on_selector_all(".part", "parts => parts.map(part => part.classList[1]).join(' ')")


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_seen_and_accessible(view, state):
    page = view(state)
    title, parts = SEEN[state]
    assert title in page.inner_text("#verdict").replace("\u2068", "").replace("\u2069", "")
    assert parts is None or part_states(page) == parts
    assert state not in TODO or set(words(page.locator(".todo"))) == {f"What to do: {TODO[state][0]}"}
    if state not in ("starting", "empty"):
        wait_drawn(page)
    assert_accessible(page)
    picture(page, state)


@pytest.mark.parametrize("state", ["well", "mongodb-down", "nasty"])
@pytest.mark.parametrize("look_of", ["dark", "phone", "ja"])
def test_dark_phone_and_japanese(view, state, look_of):
    page = view(state, **{"dark": {"color_scheme": "dark"}, "phone": PHONE, "ja": {"locale": "ja-JP"}}[look_of])
    wait_drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    assert_accessible(page)
    picture(page, f"{state}-{look_of}")
    if look_of == "ja":
        assert page.get_attribute("html", "lang") == "ja"
        assert state not in TODO or words(page.locator(".todo")) == [f"対処: {TODO[state][1]}"]
        assert {"well": "すべて正常です", "mongodb-down": "MongoDB に接続できません"}.get(
            state, "届きません"
        ) in page.inner_text("#verdict").replace("\u2068", "").replace("\u2069", "")


def test_every_sentence_is_there_in_both_languages(view):
    texts = view("well").evaluate("import('/texts.js').then(({ texts }) => texts)")
    places = {
        key: [sorted(re.findall(r"\{\w+\}", text.split("|")[-1])) for text in pair] for key, pair in texts.items()
    }
    assert len(places) > 200
    assert {key: pair for key, pair in places.items() if len(pair) != 2 or pair[0] != pair[1]} == {}


# ---- as time goes on ----


def test_follows_by_itself_and_rests_while_hidden(view, canned):
    page = view("well")
    begun, ended = [], []
    page.on("request", lambda request: begun.append(request))
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: ended.append(request) if request in begun else None)
    with page.expect_response("**/api/status"):
        pass  # five seconds later, by itself
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))"
    )
    seen = -1
    while seen < len(begun) or len(ended) < len(begun):  # what it had begun to ask for goes on
        seen = len(begun)
        page.evaluate("new Promise(requestAnimationFrame)")  # whatever an answer leads to has begun
        page.wait_for_timeout(1000)
    asked = len(canned.server.answers.asked)
    page.wait_for_timeout(6000)
    assert len(canned.server.answers.asked) == asked
    page.evaluate("delete document.hidden")
    look(page)
    assert len(canned.server.answers.asked) > asked


def test_the_chain_goes_on_under_the_focus(view, canned):
    """Whoever unfolded a part of it, and left it so on a screen at the wall, sees what becomes of it."""
    page = view("many-parts")
    fold = page.locator(".sources summary")
    fold.click()
    failing = page.locator(".sources .part.failing")
    expect(failing).to_have_count(1)
    answers = canned.server.answers
    many = answers.status_of()
    many["sources"][3].update(failing=True, failing_since=many["time"], kind="unreachable", remedy="network")
    answers.status_of = lambda: many
    look(page)
    expect(failing).to_have_count(2)
    expect(fold).to_be_focused()
    expect(page.locator(".sources details")).to_have_attribute("open", "")
    answers.status_of = STATES["well"][0]
    look(page)
    expect(page.locator(".sources .part")).to_have_count(1)


def test_what_is_marked_stays_marked(viewer, canned):
    """Who copies what is to be typed has longer for it than until the next look."""
    canned.use("mongodb-down")
    last = now() - 845_000
    canned.server.answers.last = lambda _one: last  # no value changes
    page = viewer.open(canned.url)
    mark = "name => getSelection().selectAllChildren(document.querySelector(name))"
    for name in (".todo", ".stage.sinks .detail", ".device h3", ".device dl"):
        page.evaluate(mark, name)
        marked = page.evaluate("getSelection().toString()")
        look(page)
        page.wait_for_timeout(100)
        assert len(marked) > 3 and page.evaluate("getSelection().toString()") == marked, name


def test_the_range_is_said_when_somebody_chose_it(view, canned):
    """A range that goes on with the time is not read aloud each minute."""
    page = view("well")
    wait_drawn(page)
    shown = page.locator("#ranges .shown")
    expect(shown).to_have_attribute("aria-live", "off")
    page.get_by_role("button", name="7 days").click()
    expect(shown).to_have_attribute("aria-live", "polite")
    answers, before = canned.server.answers, shown.inner_text()
    status = answers.status
    answers.status = lambda query: {**status(query), "page": {**status(query)["page"], "time": now() + 3_600_000}}
    look(page)
    expect(shown).not_to_have_text(before)
    expect(shown).to_have_attribute("aria-live", "off")


def test_a_backlog_is_drawn_when_it_is_there(view, canned):
    """A year has buckets of half a day: after an outage nobody waits for hours until a quarter of one has passed."""
    page = view("well")
    wait_drawn(page)
    answers = canned.server.answers
    answers.age = 3 * 86400
    look(page)
    expect(page.locator("#verdict")).to_contain_text("is silent")
    page.get_by_role("button", name="1 year").click()
    wait_asked(canned, 8700, 8800)
    expect(page.locator(".card").first.locator(".time", has_text=":")).to_have_count(0)  # they are drawn
    status, end = answers.status, now() + 5000
    answers.status = lambda query: {**status(query), "page": {**status(query)["page"], "time": end}}
    answers.age = 20
    with page.expect_request("**/api/values*"):
        look(page)


def test_a_range_that_could_not_be_read_is_asked_for_again(viewer, canned):
    canned.use("well")
    page = viewer.open(canned.url)
    wait_drawn(page)
    viewer.expected = "503"
    page.route("**/api/values*", lambda route: route.fulfill(status=503, json={"error": "too many ask at once"}))
    page.get_by_role("button", name="Closer").click()
    note = page.locator(".card").first.locator(".hint")
    expect(note).to_have_text("Values cannot be read: too many ask at once")
    with page.expect_response("**/api/series"):
        pass
    expect(note).to_have_text("Values cannot be read: too many ask at once")
    page.unroute("**/api/values*")
    expect(note).to_have_text("")


def test_a_clock_that_is_set_back(view, canned):
    page = view("well")
    wait_drawn(page)
    answers, status = canned.server.answers, canned.server.answers.status

    def earlier(query):
        told = status(query)
        told["page"]["time"] -= 7200_000
        return told

    answers.status = earlier
    wait_asked(canned, 20, 30, until=lambda: time.time() * 1000 - 7000_000)  # what was being asked for goes on


def test_rates_after_a_clock_was_set_back(view, canned):
    """They are of the last minutes; what was counted at times that are to come says nothing."""
    page = view("well")
    answers, status, looks, begun = canned.server.answers, canned.server.answers.status, [], now()

    def told(query):
        found = status(query)
        looks.append(1)
        found["started"] = "2026-01-01T00:00:00.000Z"
        found["page"]["time"] = begun + len(looks) * 120_000 - (7200_000 if len(looks) > 1 else 0)
        found["sources"][0]["readings"] += len(looks) * 2000
        return found

    answers.status = told
    for _ in range(4):
        look(page)
    expect(page.locator(".sources .figures")).to_contain_text("1,000 / min")


def test_another_daemon_brings_its_own_page(view, canned):
    """A page that is open for days has the words of the version that it came from."""
    page = view("well")
    older = canned.server.answers.status_of
    canned.server.answers.status_of = lambda: {**older(), "version": "9.0.0"}
    with page.expect_navigation():
        look(page)
    page.wait_for_selector(".verdict.well")


def test_who_is_silent_is_not_known_without_values(viewer, canned):
    canned.use("silent")
    page = viewer.open(canned.url)
    expect(page.locator("#verdict")).to_contain_text("is silent")
    viewer.expected = "503"
    page.route("**/api/series", lambda route: route.fulfill(status=503, json={"error": "there are no charts now"}))
    expect(page.locator("#devices-note")).to_have_text("Values cannot be read: there are no charts now")
    expect(page.locator("#verdict")).not_to_contain_text("is silent")


def test_nothing_is_promised_beyond_the_retention(viewer, canned):
    canned.use("mongodb-down")

    def days_later(route):
        answer = route.fetch()
        status = answer.json()
        status["subscriptions"][0].update(retention_sec=600)
        route.fulfill(response=answer, json=status)

    page = viewer.open(canned.url)
    expect(page.locator("#verdict")).to_contain_text("Nothing is lost.")
    page.route("**/api/status", days_later)
    look(page)
    expect(page.locator("#verdict")).to_contain_text("They may be lost")
    expect(page.locator("#verdict")).not_to_contain_text("Nothing is lost")


@pytest.mark.parametrize(
    "retention,said",
    [(2678400, "Nothing is lost."), (600, "They may be lost"), (None, "unless its retention was changed")],
)
def test_nothing_is_promised_of_what_pubsub_keeps(view, canned, retention, said):
    """Where nothing is published, it is Pub/Sub that keeps all; what its retention is need not be known."""
    page = view("subscriber-cut-off")
    cut_off = canned.server.answers.status_of()
    cut_off["subscriptions"][0].update(retention_sec=retention)
    canned.server.answers.status_of = lambda: cut_off
    look(page)
    expect(page.locator("#verdict")).to_contain_text(said)
    assert ("Nothing is lost" in page.inner_text("#verdict")) == (said == "Nothing is lost.")


def test_a_full_outbox_promises_nothing(view):
    page = view("outbox-full")
    said = page.inner_text("#verdict")
    assert (
        "New readings are lost" in said
        and "accepts no more readings. Those in it are not lost." in said
        and "Nothing is lost" not in said
    )
    assert page.locator(".verdict strong").all_inner_texts() == [
        "Google Pub/Sub cannot be reached",
        "The outbox is full",
    ], "the cause first"


def words(locator):
    return [text.replace("\u2068", "").replace("\u2069", "") for text in locator.all_inner_texts()]


def test_rules_that_fire_are_no_breakdown(view):
    page = view("alerts")
    said = words(page.locator("#alerts strong"))
    assert said == [
        "Bedroom: Temperature is 29.4\u00a0°C (limit 28\u00a0°C)",
        "Study: CO₂ is 1,640\u00a0ppm (limit 1,500\u00a0ppm)",
        "Kitchen: Water leak is true",
        "Attic: silent or offline",
    ]
    assert page.locator(".failing").count() == 0 and "fires" not in page.inner_text("main")
    assert re.search(r", since \d\d:\d\d \(25 min\)", page.locator("#alerts p").first.inner_text())
    assert page.title().startswith("! Bedroom: ")
    page = view("alerts", locale="ja-JP", **PHONE)
    icon, text = (page.locator(f"#alerts {part}").first.bounding_box() for part in (".icon", "p"))
    assert icon["x"] + icon["width"] < text["x"], "side by side on a phone, too"
    assert words(page.locator("#alerts strong"))[0] == "Bedroom: 温度は 29.4\u00a0°C (基準値 28\u00a0°C)"


@pytest.mark.parametrize(
    "options", [{}, PHONE, {"color_scheme": "dark", "locale": "ja-JP"}], ids=["wide", "phone", "ja"]
)
def test_alerts_of_a_rule_are_in_one_box(view, options):
    page = view("many-firing", **options)
    boxes = page.locator("#alerts > li")
    assert [box.locator("p").count() for box in boxes.all()] == [1, 19]
    first = words(boxes.last.locator("strong"))
    assert re.match("Room 0: .*21.2\u00a0°C .*21\u00a0°C", first[0]) and first[1:3] == [
        "Room 1: 21.3\u00a0°C",
        "Room 2: 21.4\u00a0°C",
    ]
    assert [text.split()[-1] for text in words(page.locator("#alerts .rule"))] == ["暑い", "hot"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    assert boxes.last.bounding_box()["height"] < (640 if options == PHONE else 250)
    picture(page, "many-firing-" + "-".join(options))


@pytest.mark.parametrize("state", ["no-token", "alert-target-down", "clock-wrong", "target-refuses"])
def test_says_what_to_do_in_japanese(view, state):
    assert set(words(view(state, locale="ja-JP").locator(".todo"))) == {f"対処: {TODO[state][1]}"}


def test_what_to_do_names_the_target(view, canned):
    """Not the sink that sends to it."""
    page = view("alert-target-down")
    down = canned.server.answers.status_of()
    down["subscriptions"][1]["sink"]["alerts"]["targets"][0].update(kind="unavailable", remedy="wait")
    canned.server.answers.status_of = lambda: down
    look(page)
    expect(page.locator(".todo")).to_have_text(re.compile("status page of \\W?family"))


def test_every_kind_of_failure_has_a_title(view):
    page = view("each-kind")
    titles = page.evaluate(
        """async kinds => {
        const { partsOf, verdicts } = await import('/chain.js');
        const status = await (await fetch('/api/status')).json();
        return kinds.map(kind => {
            const one = { ...status, sources: status.sources.filter(source => source.kind === kind) };
            return verdicts(one, partsOf(one, one.page.time))[0].says[0];
        });
    }""",
        [kind for kind, _ in KINDS],
    )
    assert titles == [f"is_{kind}" if kind != "other" else "sourceDown" for kind, _ in KINDS]


def test_a_source_that_is_silent_since_the_start(view):
    """A door that nobody opens for a week: that is not a start, and all is well, as /healthz says."""
    says = view("well").evaluate("""async () => {
        const { partsOf, verdicts } = await import('/chain.js');
        const status = await (await fetch('/api/status')).json();
        status.sources[0] = { ...status.sources[0], speaks: true, last_reading: null, readings: 0 };
        return verdicts(status, partsOf(status, status.page.time))[0].says.slice(0, 3);
    }""")
    assert says == ["allWell", {}, "allWellMore"]


def test_a_start_with_a_source_that_may_be_silent(view):
    """MongoDB was not asked yet, either: that is a start."""
    says = view("starting").evaluate("""async () => {
        const { partsOf, verdicts } = await import('/chain.js');
        const status = await (await fetch('/api/status')).json();
        status.sources[0].speaks = true;
        return verdicts(status, partsOf(status, status.page.time))[0].says[0];
    }""")
    assert says == "starting"


def test_with_a_wrong_clock_nothing_is_said_of_silence(view, canned):
    """Nor is it said twice, or hidden by what fails."""
    page = view("clock-wrong")
    assert words(page.locator(".verdict strong")) == ["This machine's clock is wrong"]
    assert page.locator(".device.waiting").count() == 0
    failing = canned.server.answers.status_of()
    failing["token"].update(failing=True, failing_since=failing["time"], kind="refused", remedy="clock")
    failing["publisher"].update(failing=True, failing_since=failing["time"], kind="refused", remedy="clock")
    canned.server.answers.status_of = lambda: failing
    look(page)
    expect(page.locator(".verdict strong")).to_have_count(2)
    assert words(page.locator(".verdict strong")) == ["Google refuses access", "This machine's clock is wrong"]


def test_what_is_lost_is_told_as_loss(view):
    page = view("lost")
    assert words(page.locator(".todo")) == ["What to do: sensorqd rejected list"]
    assert words(page.locator(".loss")) == ["4,312 lost"]
    expect(page.locator(".sources .figures").last).to_contain_text("70 left out since start")
    assert "Every reading arrives" not in page.inner_text("#verdict")


def test_since_when_the_disk_refuses(view):
    page = view("disk-refuses")
    assert re.search(r"since \d\d:\d\d:\d\d \(5 min\)", page.inner_text("#verdict"))
    assert (
        "since" in page.locator(".stage.outbox .since").first.inner_text()
        and "No space left" in page.locator(".stage.outbox .detail").inner_text()
    )


@pytest.mark.parametrize("state", ["no-token", "pubsub-down", "missing-subscription"])
def test_who_gets_nothing_has_no_rate(view, state):
    assert "min" not in view(state).locator(".sinks .part .figures").first.inner_text()


def test_a_target_that_fails_is_behind_the_alerts(view):
    page = view("alert-target-down")
    assert "to-well" in page.locator(".sinks .part").first.get_attribute("class")
    assert words(page.locator(".beyond")) == ["✕ → family"]


def test_a_device_has_one_colour(view):
    page = view("well")
    wait_drawn(page)
    found = page.eval_on_selector_all(
        ".legend button", "buttons => buttons.map(b => [b.querySelector('bdi').textContent, b.className])"
    )
    colours = {name: {colour for other, colour in found if other == name} for name, _ in found}
    assert len(found) > len(colours) and all(len(each) == 1 for each in colours.values())
    assert len({colour for _, colour in found}) == len(colours)


def test_numbers_in_no_chart_are_counted(view, canned):
    page = view("well")
    for one in canned.server.answers.series:
        one["beyond"] = {"d0": 1, "d2": 1009}.get(one["device"], 0)
    look(page)
    for name, note in (("Bedroom", "1 more number has no chart"), ("Study", "1,009 more numbers have no chart")):
        expect(page.locator(".device", has_text=name).locator(".under").first).to_have_text(note)
    assert page.get_by_text(re.compile("ha(s|ve) no chart")).count() == 2


def test_mongodb_away_and_back(view, canned):
    page = view("well")
    canned.use("mongodb-down")
    look(page)
    page.wait_for_selector(".verdict.failing")
    expect(page).to_have_title("✕ MongoDB cannot be reached – sensorqd")
    expect(page.locator("#devices-note")).to_be_visible()
    canned.use("well")
    look(page)
    page.wait_for_selector(".verdict.well")
    expect(page).to_have_title("✓ sensorqd")


def test_says_when_the_daemon_is_gone(viewer, canned):
    canned.use("well")
    page = viewer.open(canned.url)
    canned.server.mute, viewer.expected = True, "503"  # the browser's own words
    look_failed = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(look_failed)
    page.wait_for_selector(".part.unknown")
    expect(page.locator("#verdict")).to_contain_text("sensorqd does not answer")
    picture(page, "gone")
    assert_accessible(page)


def test_a_browser_of_some_years_ago(viewer, canned):
    """Safari 15, the last for an iPad Air 2: it has no AbortSignal.timeout."""
    canned.use("well")
    page = viewer.open(canned.url)
    page.add_init_script("delete AbortSignal.timeout")
    page.reload()
    page.wait_for_selector(".verdict.well")


def test_a_password_that_was_changed_is_no_silence(viewer, canned):
    canned.use("well")
    page = viewer.open(canned.url)
    viewer.expected = "429"
    page.evaluate(
        "() => { const later = setTimeout; window.pauses = []; window.setTimeout = (act, ms) => (window.pauses.push(ms), later(act, ms)); }"
    )
    page.route(
        "**/api/*",
        lambda route: route.fulfill(
            status=429, body="Too many wrong passwords came from this address. Wait a little.\n"
        ),
    )
    expect(page.locator("#verdict strong")).to_have_text("sensorqd refuses access")
    expect(page.locator(".todo")).to_have_text("What to do: load this page again and enter its password")
    page.wait_for_function("() => window.pauses.includes(60_000)")  # others at this address want to try theirs


# ---- what comes from outside is text ----


def test_names_are_only_text(view):
    page = view("nasty")
    wait_drawn(page)
    page.get_by_text("As a table").first.click()
    assert page.title().startswith("✕ <img")
    assert page.locator("main img, main script, main b, main i").count() == 0
    shown = page.locator(".device h3 bdi").all_text_contents()
    assert sorted(shown) == sorted(
        NASTY[:2] + [name.translate({0x202E: " ", 0x202D: " ", 0x2067: " "}).strip() for name in NASTY[2:]]
    )
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067") & set(page.inner_text("body"))


@pytest.mark.parametrize("state", ["well", "mongodb-down"])
def test_phone_begins_with_what_matters(view, state):
    """While all is well, values and charts; else the chain, which shows what fails. On a wide screen the chain."""
    page = view(state, **PHONE)
    top = {
        name: page.locator(f"#{name}").bounding_box()["y"] for name in ("verdict", "chain", "devices", "charts-section")
    }
    order = ["verdict", "devices", "charts-section", "chain"] if state == "well" else ["verdict", "chain", "devices"]
    assert sorted(order, key=top.get) == order
    wide = view(state)
    assert wide.locator("#chain").bounding_box()["y"] < wide.locator("#devices").bounding_box()["y"]


def test_below_a_path(viewer, canned):
    """As behind the reverse proxy of docs/page.md: nothing is asked for beside that path."""
    canned.use("well")
    canned.server.below = "/sensors"
    page = viewer.open(canned.url + "sensors/")
    wait_drawn(page)
    assert "All is well" in page.inner_text("#verdict")


def test_first_view_is_small(view, canned):
    canned.server.sent = 0
    page = view("well")
    wait_drawn(page)
    page.wait_for_load_state("networkidle")
    files = page.evaluate(
        "performance.getEntries().filter(e => !e.name.includes('/api/') && e.encodedBodySize).reduce((sum, e) => sum + e.encodedBodySize, 0)"
    )
    print(json.dumps({"files": files, "with the first answers": canned.server.sent}))
    assert files < 40_000
