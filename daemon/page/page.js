// SPDX-License-Identifier: Apache-2.0
// The page: asks the daemon every five seconds while somebody looks, and shows the chain, the rules that fire, the latest
// values and the charts. What comes from outside (names, details) only ever becomes text.

import { alertsOf, arrowOf, arrowsOf, counters, markSilent, ms, partsOf, verdicts } from "./chain.js";
import { icon } from "./chart.js";
import { ask, Board, make } from "./charts.js";
import { deviceElement, deviceKey, devicesOf, flows, silentDevices } from "./devices.js";
import { isolated, language, number, plain, rate, say, span, when } from "./words.js";

const EVERY = 5000; // ms between two looks
const RATE_NOT_BEFORE = 1; // minutes
const RATE_OVER = 5 * 60e3; // rates are of the last five minutes
const PARTS_SHOWN = 4; // of one kind; more that are well are folded up
const byId = (id) => document.getElementById(id);

// ---- the chain ----

class Rates {
    constructor() {
        this.samples = [];
    }

    add(status, now) {
        const counted = { now, started: ms(status.started), of: counters(status) };
        if (this.samples.length && this.samples[0].started !== counted.started) this.samples = [];
        this.samples.push(counted);
        while (now - this.samples[0].now > RATE_OVER) this.samples.shift();
    }

    // Readings a minute; at the first look since the start of the daemon.
    of(key) {
        const first = this.samples[0],
            last = this.samples.at(-1);
        const alone = last.now - first.now < 60e3;
        const minutes = (last.now - (alone ? first.started : first.now)) / 60e3;
        if (minutes < RATE_NOT_BEFORE) return null; // a start says nothing of what is usual
        const n = last.of[key] - (alone ? 0 : (first.of[key] ?? 0));
        return n >= 0 ? n / minutes : null;
    }
}

function partElement(part, view) {
    const { now, rates } = view;
    const title = part.name === null ? say(part.kind) : plain(part.title ?? part.name);
    const state = view.unknown ? "unknown" : part.state;
    const perMinute = state === "well" && part.kind !== "outbox" ? rates.of(part.key) : null;
    const figures = [
        ...(perMinute === null ? [] : [rate(perMinute)]),
        ...part.figures.map(([key, values]) => say(key, values)),
    ];
    const element = make(
        "li",
        { className: `part ${state} to-${view.unknown ? "unknown" : arrowOf(part, view.arrows)}` },
        make(
            "p",
            { className: "name" },
            icon(state),
            make("strong", {}, make("bdi", { textContent: title })),
            make("span", { className: "state", textContent: say(state) }),
        ),
    );
    if (part.subscription)
        element.append(make("p", { className: "under" }, make("bdi", { textContent: plain(part.subscription) })));
    element.append(make("p", { className: "says", textContent: say(...part.says) }));
    if (part.since)
        element.append(
            make("p", {
                className: "since",
                textContent: say(part.kind === "outbox" ? "oldest" : "since", {
                    time: when(part.since, now),
                    span: span(now - part.since),
                }),
            }),
        );
    if (part.detail)
        element.append(
            make("p", { className: "detail", lang: "en" }, make("bdi", { textContent: plain(part.detail) })),
        );
    if (part.retry && part.retry > now)
        element.append(make("p", { className: "since", textContent: say("nextTry", { time: when(part.retry, now) }) }));
    if (figures.length)
        element.append(
            make("p", { className: "figures" }, ...figures.map((text) => make("span", { textContent: text }))),
        );
    return element;
}

// A stage of the chain with its parts, and the arrow to it.
function stage(kind, parts, view) {
    const open = parts.filter((part, i) => part.state !== "well" || i < PARTS_SHOWN);
    const folded = parts.filter((part) => !open.includes(part));
    const list = make("ul", {}, ...open.map((part) => partElement(part, view)));
    const element = make(
        "li",
        { className: `stage ${kind} to-${view.unknown ? "unknown" : view.arrows[kind]}` },
        make("h3", { textContent: say({ outbox: "outboxIs", pubsub: "pubsubIs" }[kind] || kind) }),
        list,
    );
    if (!folded.length) return element;
    const details = make(
        "details",
        { open: view.unfolded.has(kind) },
        make("summary", { textContent: say("moreWell", { n: folded.length }) }),
        make("ul", {}, ...folded.map((part) => partElement(part, view))),
    );
    details.addEventListener("toggle", () => (details.open ? view.unfolded.add(kind) : view.unfolded.delete(kind)));
    element.append(details);
    return element;
}

function showChain(parts, view) {
    const stages = [];
    view.arrows = arrowsOf(parts);
    if (parts.sources.length) stages.push(stage("sources", parts.sources, view));
    if (parts.outbox) stages.push(stage("outbox", [parts.outbox], view));
    stages.push(stage("pubsub", [parts.pubsub], view));
    if (parts.sinks.length) stages.push(stage("sinks", parts.sinks, view));
    const chain = byId("chain");
    chain.className = `stages${stages.length}`;
    if (!chain.contains(document.activeElement)) chain.replaceChildren(...stages);
}

// ---- what comes first ----

function verdictElement({ state, says, since }, now) {
    const [title, values, more, moreValues] = says;
    const text = moreValues.time ? { ...moreValues, time: when(moreValues.time, now) } : moreValues;
    const begun = since ? ` ${say("since", { time: when(since, now), span: span(now - since) })}` : "";
    return make(
        "div",
        { className: `verdict ${state}` },
        icon(state),
        make("p", {}, make("strong", { textContent: say(title, values) }), make("span", { textContent: begun })),
        make("p", { textContent: say(more, text) }),
    );
}

// Devices that are silent and rules that fire come before "all is well".
function verdictsWith(chain, silent, alerts) {
    const works = chain[0].state === "well";
    const told = alerts.length
        ? [
              {
                  state: "failing",
                  says: ["alertsFire", { n: number(alerts.length, 0) }, works ? "alertsMore" : "alertsOnly", {}],
                  since: null,
              },
          ]
        : [];
    if (works)
        told.push(
            ...silent.slice(0, 3).map((device) => ({
                state: "waiting",
                says: [device.silence, { name: isolated(device.name) }, `${device.silence}More`, {}],
                since: device.since,
            })),
        );
    return works && told.length ? told : [...chain, ...told];
}

function notices(status, now) {
    const found = [];
    if (status.reload_refused)
        found.push([
            say("reloadRefused", { time: when(ms(status.reload_refused.time), now) }),
            status.reload_refused.error,
        ]);
    if (status.outbox_left)
        found.push([
            say("outboxLeft", { n: number(status.outbox_left.rows, 0), name: isolated(status.outbox_left.directory) }),
            "",
        ]);
    if (status.stopping) found.push([say("stopping"), ""]);
    return found.map(([text, detail]) =>
        make(
            "p",
            { className: "notice" },
            text,
            " ",
            make("bdi", { className: "detail", lang: "en", textContent: plain(detail) }),
        ),
    );
}

// What a screen reader says aloud: the titles, when they change; not how long it lasts.
function showVerdict(elements) {
    byId("verdict").replaceChildren(...elements);
    const titles = elements.map((element) => element.querySelector("strong")?.textContent ?? element.textContent);
    const said = titles.join(". ");
    if (byId("said").textContent !== said) byId("said").textContent = said;
}

function showTitle(state, text) {
    const signs = { well: "✓", waiting: "…", failing: "✕", unknown: "?" };
    document.title = `${signs[state]} ${state === "well" ? "sensorqd" : `${plain(text)} – sensorqd`}`;
}

// ---- rules that fire ----

function alertElement(alert, now) {
    const begun = typeof alert.since === "string" ? ms(alert.since) : alert.since;
    const since = begun ? say("since", { time: when(begun, now), span: span(now - begun) }) : "";
    const value =
        alert.value === null || alert.value === undefined
            ? ""
            : typeof alert.value === "number"
              ? number(alert.value)
              : plain(alert.value);
    return make(
        "li",
        {},
        icon("failing"),
        make("strong", { textContent: say("ruleFires", { rule: isolated(alert.rule) }) }),
        " ",
        make("span", {
            textContent: [alert.name || alert.device ? isolated(alert.name || alert.device) : "", value]
                .filter(Boolean)
                .join(": "),
        }),
        " ",
        make("span", { className: "since", textContent: since }),
    );
}

function showAlerts(alerts, now) {
    byId("alerts-section").hidden = !alerts.length;
    byId("alerts").replaceChildren(...alerts.map((alert) => alertElement(alert, now)));
}

// ---- devices ----

function showDevices(devices, trouble, now) {
    byId("devices-note").hidden = devices.length > 0 && !trouble;
    byId("devices-note").textContent = trouble || say("noDevices");
    byId("devices").replaceChildren(...devices.map((device) => deviceElement(device, now)));
}

// ---- one look ----

class Page {
    constructor() {
        this.rates = new Rates();
        this.unfolded = new Set();
        this.status = null;
        this.series = [];
        this.board = new Board({
            section: byId("charts-section"),
            ranges: byId("ranges"),
            charts: byId("charts"),
            keys: byId("chart-keys"),
        });
    }

    async look() {
        clearTimeout(this.timer);
        if (this.looking) return;
        this.looking = true;
        try {
            const asked = ask("api/series").then(
                (answer) => ({ series: answer.series, error: "" }),
                (error) => ({ series: this.series, error: error.message }),
            );
            [this.status, { series: this.series, error: this.broken }] = await Promise.all([ask("api/status"), asked]);
            this.offset = this.status.page.time - Date.now();
            this.rates.add(this.status, this.status.page.time);
            this.show();
        } catch (error) {
            this.showSilence(error);
        }
        this.looking = false;
        if (!document.hidden) this.timer = setTimeout(() => this.look(), EVERY);
    }

    show() {
        const { status, series } = this;
        const now = status.page.time;
        const parts = partsOf(status, now);
        const devices = devicesOf(series);
        const silent = silentDevices(devices, status, parts, now);
        const found = verdictsWith(verdicts(status, parts), silent, alertsOf(status));
        markSilent(parts, silent);
        showVerdict([...found.map((one) => verdictElement(one, now)), ...notices(status, now)]);
        showTitle(found[0].state, say(found[0].says[0], found[0].says[1]));
        showChain(parts, { now, rates: this.rates, unfolded: this.unfolded, unknown: false });
        showAlerts(alertsOf(status), now);
        showDevices(
            devices,
            this.broken ? say("broken", { error: this.broken }) : flows(status, parts) ? "" : say("stands"),
            now,
        );
        byId("updated").textContent = say("updated", { time: when(now, now) });
        const names = new Map(devices.map((device) => [device.key, device.name]));
        this.board.update(series, (one) => names.get(deviceKey(one)), now);
    }

    // Nobody answers: what was known last stays, and says that it is old.
    showSilence(error) {
        console.info(`sensorqd does not answer: ${error.message}`);
        const last = this.status && this.status.page.time;
        const more = last ? say("noAnswerMore", { time: when(last, Date.now() + this.offset) }) : "";
        showVerdict([
            make(
                "div",
                { className: "verdict failing" },
                icon("failing"),
                make("p", {}, make("strong", { textContent: say("noAnswer") })),
                make("p", { textContent: more }),
            ),
        ]);
        showTitle("failing", say("noAnswer"));
        if (this.status)
            showChain(partsOf(this.status, last), {
                now: last,
                rates: this.rates,
                unfolded: this.unfolded,
                unknown: true,
            });
    }
}

function start() {
    document.documentElement.lang = language;
    byId("chain-title").textContent = say("chain");
    byId("alerts-title").textContent = say("alerts");
    byId("devices-title").textContent = say("values");
    byId("charts-title").textContent = say("charts");
    const page = new Page();
    document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : page.look()));
    page.look();
}

start();
