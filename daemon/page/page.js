// SPDX-License-Identifier: Apache-2.0
// The page: asks the daemon every five seconds while somebody looks, and shows the chain, the rules that fire, the latest
// values and the charts. What comes from outside (names, details) only ever becomes text.

import { alertsOf, arrowOf, arrowsOf, clockWrong, counters, markSilent, ms, partsOf, verdicts } from "./chain.js";
import { ask, Board } from "./charts.js";
import { deviceElement, deviceKey, devicesOf, flows, isGone, silentDevices } from "./devices.js";
import { icon, make, renew } from "./elements.js";
import { fieldOf, isolated, language, number, plain, rate, say, span, when, withUnit } from "./words.js";

const EVERY = 5000; // ms between two looks
const REFUSED_EVERY = 60e3; // with a wrong password: others at this address want to try theirs
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
        const [first] = this.samples; // the daemon's clock may have been set back
        if (first && (first.started !== counted.started || first.now > now)) this.samples = [];
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

const line = (className, textContent) => make("p", { className, textContent });
const foreign = (name) => make("bdi", { textContent: plain(name) });

function partElement(part, view) {
    const { now, rates } = view;
    const title = part.name === null ? say(part.kind) : (part.title ?? part.name);
    const state = view.unknown ? "unknown" : part.state;
    const perMinute = state === "well" && part.kind !== "outbox" ? rates.of(part.key) : null;
    const figures = part.figures.map(([key, values]) =>
        make("span", { className: key === "nDropped" ? "loss" : "", textContent: say(key, values) }),
    );
    if (perMinute !== null) figures.unshift(make("span", { textContent: rate(perMinute) }));
    const since = (key, time) =>
        time && line("since", say(key, { time: when(time, now), span: span(now - time) }));
    return make(
        "li",
        { className: `part ${state} to-${view.unknown ? "unknown" : arrowOf(part, view.arrows)}` },
        make(
            "p",
            { className: "name" },
            icon(state),
            make("strong", {}, foreign(title)),
            make("span", { className: "state", textContent: say(state) }),
        ),
        part.subscription && make("p", { className: "under" }, foreign(part.subscription)),
        line("says", say(...part.says)),
        since("since", part.since),
        since("oldest", part.oldest),
        part.detail && make("p", { className: "detail", lang: "en" }, foreign(part.detail)),
        part.says[0] === "targetFails" &&
            make("p", { className: "beyond", "aria-hidden": "true" }, "✕ → ", foreign(part.says[1].name)),
        part.retry > now && line("since", say("nextTry", { time: when(part.retry, now) })),
        figures.length && make("p", { className: "figures" }, ...figures),
        ["source", "sink"].includes(part.kind) && make("span", { className: "branch" }),
    );
}

// A stage of the chain with its parts, and the arrow to it.
function stage(kind, parts, view) {
    const open = parts.filter((part, i) => part.state !== "well" || i < PARTS_SHOWN);
    const folded = parts.filter((part) => !open.includes(part));
    const to = (state) => (view.unknown ? "unknown" : state);
    const list = make("ul", {}, ...open.map((part) => partElement(part, view)));
    const element = make(
        "li",
        { className: `stage ${kind} to-${to(view.arrows[kind])} ${parts.length > 1 ? "many" : ""}` },
        make("h3", { textContent: say({ outbox: "outboxIs", pubsub: "pubsubIs" }[kind] || kind) }),
        list,
    );
    if (!folded.length) return element;
    const details = make(
        "details",
        { open: view.unfolded.has(kind), className: `to-${to(arrowOf(folded[0], view.arrows))}` },
        make("summary", { textContent: say("moreWell", { n: folded.length }) }),
        make("span", { className: "branch" }),
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
    renew(chain, stages);
}

// ---- what comes first ----

function todoElement({ command, key, name }) {
    return make(
        "p",
        { className: "todo" },
        `${say("todo")} `,
        command ? make("code", { lang: "en", textContent: command }) : say(key, { name }),
    );
}

function verdictElement({ state, says, since, todo, gone }, now) {
    const [title, values, more, moreValues] = says;
    const text = moreValues.time ? { ...moreValues, time: when(moreValues.time, now) } : moreValues;
    const counted = gone ? ` ${say("goneMore", { n: number(gone, 0) })}` : "";
    const begun = since ? ` ${say("since", { time: when(since, now), span: span(now - since) })}` : "";
    return make(
        "div",
        { className: `verdict ${state}` },
        icon(state),
        make("p", {}, make("strong", { textContent: say(title, values) }), make("span", { textContent: begun })),
        make("p", { textContent: `${more ? say(more, text) : ""}${counted}` }),
        todo && todoElement(todo),
    );
}

// Devices that are silent come before "all is well"; with rules that fire, only the chain is. Those that are gone are
// counted beside it.
function verdictsWith(chain, { silent, gone }, alerts) {
    const works = chain[0].state === "well";
    if (works && silent.length)
        return silent.slice(0, 3).map((device) => ({
            state: "waiting",
            says: [device.silence, { name: isolated(device.name) }, `${device.silence}More`, {}],
            since: device.since,
        }));
    if (!works) return chain;
    const says = alerts.length ? ["works", {}, "allWellMore", {}] : chain[0].says;
    return [{ ...chain[0], says, gone: gone.length }];
}

function notice(text, detail = "") {
    const said = make("bdi", { className: "detail", lang: "en", textContent: plain(detail) });
    return make("p", { className: "notice" }, text, " ", said);
}

function notices({ reload_refused: refused, outbox_left: left, stopping }, now) {
    const found = [];
    if (refused) found.push(notice(say("reloadRefused", { time: when(ms(refused.time), now) }), refused.error));
    if (left) found.push(notice(say("outboxLeft", { n: number(left.rows, 0), name: isolated(left.directory) })));
    if (stopping) found.push(notice(say("stopping")));
    return found;
}

// What a screen reader says aloud: the titles and the rules that fire, when they change; not how long it lasts.
function showVerdict(elements, alerts = []) {
    renew(byId("verdict"), elements);
    const titles = elements.map((element) => element.querySelector("strong")?.textContent ?? element.textContent);
    const rules = alerts.map((alert) => `${isolated(alert.name || alert.device || "")}: ${isolated(alert.rule)}`);
    const said = [...titles, ...rules].join(". ");
    if (byId("said").textContent !== said) byId("said").textContent = said;
}

function showTitle(state, text) {
    const signs = { well: "✓", waiting: "…", failing: "✕", unknown: "?", alert: "!" };
    document.title = `${signs[state]} ${state === "well" ? "sensorqd" : `${plain(text.replace(/[\u2068\u2069]/g, ""))} – sensorqd`}`;
}

// ---- rules that fire ----

function isOf(one, alert) {
    const fields = [alert.field, `/${alert.field}`];
    return one.source === alert.source && one.device === alert.device && fields.includes(one.field);
}

// What a chart that cannot show all begins with: what fires or is beyond a limit, then what is silent.
function ranksOf(alerts, silent) {
    const quiet = new Set(silent.map((device) => device.key));
    const beyond = { above: (a, b) => a > b, below: (a, b) => a < b };
    const urgent = (one) =>
        alerts.some((alert) => isOf(one, alert)) ||
        one.limits.some((limit) => beyond[limit.kind]?.(one.last.value, limit.value));
    return (one) => (urgent(one) ? 0 : quiet.has(deviceKey(one)) ? 1 : 2);
}

// "Bedroom: Temperature is 29.4 °C (limit 28 °C)"; the name and unit of the field are those of its chart.
function alertText(alert, series, brief = false) {
    const name = isolated(alert.name || alert.device || alert.source || alert.rule);
    if (!alert.field || alert.value === null || alert.value === undefined || alert.limit === null)
        return say("alertStale", { name });
    const found = series.find((one) => isOf(one, alert));
    const { name: field, unit, digits } = fieldOf(found || { field: alert.field });
    const shown = (value) =>
        typeof value === "number" ? withUnit(number(value, value % 1 ? digits || undefined : 0), unit) : isolated(value);
    const values = { name, field: isolated(field), value: shown(alert.value) };
    if (brief) return `${name}: ${values.value}`;
    return typeof alert.limit === "number"
        ? say("alertLimit", { ...values, limit: shown(alert.limit) })
        : say("alertIs", values);
}

function alertElement(alert, series, now, brief) {
    const begun = typeof alert.since === "string" ? ms(alert.since) : alert.since;
    const since = begun ? `, ${say("since", { time: when(begun, now, "minute"), span: span(now - begun) })}` : "";
    return make("p", {}, make("strong", { textContent: alertText(alert, series, brief) }), since);
}

// One rule, with each device that it fires for: the first with field and limit.
function ruleElement(alerts, series, now) {
    return make(
        "li",
        {},
        icon("alert"),
        make("div", {}, ...alerts.map((alert, i) => alertElement(alert, series, now, i > 0))),
        make("span", { className: "rule", textContent: say("alertRule", { rule: isolated(alerts[0].rule) }) }),
    );
}

function showAlerts(alerts, series, now) {
    byId("alerts-section").hidden = !alerts.length;
    const rules = new Map();
    for (const alert of alerts) {
        const key = JSON.stringify([alert.rule, alert.field, alert.limit]); // two sinks may name their rules alike
        rules.set(key, [...(rules.get(key) || []), alert]);
    }
    const elements = [...rules.values()].map((list) => ruleElement(list, series, now));
    renew(byId("alerts"), elements);
}

// ---- devices ----

function showDevices(devices, trouble, now) {
    byId("devices-note").hidden = devices.length > 0 && !trouble;
    byId("devices-note").textContent = trouble || say("noDevices");
    const inOrder = [...devices.filter((device) => !isGone(device)), ...devices.filter(isGone)];
    const elements = inOrder.map((device) => deviceElement(device, now));
    renew(byId("devices"), elements);
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
        let pause = EVERY;
        try {
            const asked = ask("api/series").then(
                (answer) => ({ series: answer.series, error: "" }),
                (error) => ({ series: this.series, error: error.message }),
            );
            [this.status, { series: this.series, error: this.broken }] = await Promise.all([ask("api/status"), asked]);
            const { time, version } = this.status.page;
            if (version !== (this.version ??= version)) return location.reload(); // the page of another daemon
            this.offset = time - Date.now();
            this.rates.add(this.status, time);
            this.show();
        } catch (error) {
            if (error.refused) pause = REFUSED_EVERY;
            this.showSilence(error);
        }
        this.looking = false;
        if (!document.hidden) this.timer = setTimeout(() => this.look(), pause);
    }

    show() {
        const { status, series } = this;
        const now = status.page.time;
        const parts = partsOf(status, now);
        const devices = devicesOf(series);
        const unsure = this.broken || clockWrong(status).length; // who is silent is not known
        const quiet = unsure ? { silent: [], gone: [] } : silentDevices(devices, status, parts, now);
        const alerts = alertsOf(status);
        const found = verdictsWith(verdicts(status, parts), quiet, alerts);
        markSilent(parts, quiet.silent);
        showVerdict([...found.map((one) => verdictElement(one, now)), ...notices(status, now)], alerts);
        if (alerts.length && found[0].state !== "failing") showTitle("alert", alertText(alerts[0], series));
        else showTitle(found[0].state, say(found[0].says[0], found[0].says[1]));
        showChain(parts, { now, rates: this.rates, unfolded: this.unfolded, unknown: false });
        showAlerts(alerts, series, now);
        showDevices(
            devices,
            this.broken ? say("broken", { error: this.broken }) : flows(status, parts) ? "" : say("stands"),
            now,
        );
        byId("updated").textContent = say("updated", { time: when(now, now) });
        const names = new Map(devices.map((device) => [device.key, device.name]));
        this.board.update(series, (one) => names.get(deviceKey(one)), ranksOf(alerts, quiet.silent), now);
    }

    // Nobody answers, or not to us: what was known last stays, and says that it is old.
    showSilence(error) {
        console.info(`sensorqd does not tell: ${error.message}`);
        const last = this.status && this.status.page.time;
        const says = error.refused ? ["is_refused", { name: "sensorqd" }] : ["noAnswer", {}];
        const more = last ? ["noAnswerMore", { time: last }] : [null, {}];
        const todo = error.refused ? { key: "do_reload" } : null;
        showVerdict([verdictElement({ state: "failing", says: [...says, ...more], todo }, Date.now() + this.offset)]);
        showTitle("failing", say(...says));
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
