// SPDX-License-Identifier: Apache-2.0
// The charts below: one for each thing that is measured, all devices that measure it in it, one range of time for all.

import { Chart, MIN_SPAN } from "./chart.js";
import { giveSlots, GONE, SLOTS } from "./devices.js";
import { button, make } from "./elements.js";
import { byName, fieldOf, format, isolated, number, plain, say, withUnit, zone } from "./words.js";

const DAY = 86400e3;
const RANGES = { day: DAY, week: 7 * DAY, month: 31 * DAY, year: 366 * DAY };
const MAX_SPAN = 5 * 366 * DAY; // nothing older is kept
const ASK_MAX = 20; // series in one request
const POINTS = 600; // of one series, at most

// As many as can be told apart; whole days where days are narrow, since half days would draw day and night as a comb.
function pointsOf(span, width) {
    return span > 150 * DAY ? Math.ceil(span / DAY) + 1 : Math.max(200, Math.min(POINTS, Math.round(width / 1.6)));
}

export async function ask(path) {
    const signal = AbortSignal.timeout?.(20000); // Safari has it from 16 on
    const answer = await fetch(path, { cache: "no-store", signal });
    const body = await answer.json().catch(() => null);
    if (!answer.ok || !body)
        throw Object.assign(new Error((body && body.error) || `${answer.status} ${answer.statusText}`), {
            refused: [401, 403, 429].includes(answer.status), // a password that was changed
        });
    return body;
}

// ---- one chart with its legend and table ----

class Card {
    constructor(board, group) {
        this.board = board;
        this.all = false;
        this.entries = new Map(); // of the legend, by id of the series
        this.picked = new Set(); // ids of the series to show; empty: all
        this.visible = false;
        this.due = true;
        this.askedFor = this.error = "";
        this.title = make("h3");
        this.chart = new Chart({
            onRange: (from, to) => board.setRange(from, to),
            onZoom: (factor, time) => board.zoom(factor, time),
            onCursor: (time, under, byKey) => this.tell(time, under, byKey),
        });
        this.legend = make("ul", { className: "legend" });
        this.more = button("", () => this.toggleAll(), { className: "more", hidden: true });
        this.spoken = make("p", { className: "hidden", "aria-live": "polite" });
        this.note = make("p", { className: "hint" });
        this.table = make("div", { className: "table", tabIndex: 0, role: "region" });
        this.details = make("details", {}, make("summary", { textContent: say("asTable") }), this.table);
        this.details.addEventListener("toggle", () => this.fillTable());
        this.element = make(
            "article",
            { className: "card" },
            this.title,
            this.chart.element,
            this.note,
            this.legend,
            this.more,
            this.spoken,
            this.details,
        );
        this.setGroup(group);
        new IntersectionObserver(
            (entries) => {
                this.visible = entries.at(-1).isIntersecting;
                this.refresh();
            },
            { rootMargin: "300px" },
        ).observe(this.element);
    }

    // *group*: {key, field, lines: [{series, name}]}; its devices may become more.
    setGroup(group) {
        this.group = group;
        const name = group.field.name + (group.field.unit ? ` (${group.field.unit})` : "");
        if (this.title.textContent !== name) {
            this.title.textContent = name;
            this.chart.element.setAttribute("aria-label", say("chartOf", { name }));
            this.table.setAttribute("aria-label", `${name}: ${say("asTable")}`);
            this.legend.setAttribute("aria-label", `${name}: ${say("devicesShown")}`);
        }
        const lines = this.shown().map((line) => `${line.series.id} ${line.name}`);
        const signature = [...lines, group.lines.length, this.all].join("\n");
        if (signature !== this.signature) {
            this.signature = signature;
            this.due = true;
            this.fillLegend();
        }
        if (this.chart.cursor === null) this.tell(null, []);
    }

    shown() {
        return this.group.lines.filter((line, i) => this.all || i < SLOTS || this.picked.has(line.series.id));
    }

    toggleAll() {
        this.all = !this.all;
        this.setGroup(this.group);
        this.refresh();
    }

    fillLegend() {
        const focused = [...this.entries].find(([, entry]) => entry === document.activeElement);
        this.values = new Map();
        this.entries = new Map();
        this.legend.replaceChildren(
            ...this.shown().map(({ series: { id }, slot, name }) => {
                const value = make("span", { className: "at" });
                const entry = button("", (event) => this.pick(id, event.shiftKey), { className: `slot${slot}` });
                entry.append(make("span", { className: "swatch" }), make("bdi", { textContent: name }), value);
                this.values.set(id, value);
                this.entries.set(id, entry);
                return make("li", {}, entry);
            }),
        );
        this.markPicked();
        if (focused) this.entries.get(focused[0])?.focus({ preventScroll: true });
        this.more.hidden = this.group.lines.length <= SLOTS;
        this.more.textContent = this.all ? say("showFew") : say("showAll", { n: this.group.lines.length });
    }

    markPicked() {
        for (const [id, entry] of this.entries) entry.setAttribute("aria-pressed", String(this.picked.has(id)));
    }

    // The first one that is picked is shown alone; *butThis*: all others are.
    pick(id, butThis) {
        if (butThis && !this.picked.size) for (const other of this.entries.keys()) this.picked.add(other);
        if (!this.picked.delete(id)) this.picked.add(id);
        this.markPicked();
        this.setGroup(this.group);
        this.draw();
    }

    text(value) {
        return withUnit(number(value, this.group.field.digits), this.group.field.unit);
    }

    // The legend tells the values under the cursor, or else the latest.
    tell(time, under, byKey = false) {
        for (const { series } of this.shown()) {
            const found = under.find(({ line }) => line.id === series.id);
            const cell = this.values.get(series.id);
            cell.textContent =
                time === null ? this.text(series.last.value) : found ? this.between(found) : "–";
        }
        this.note.textContent = time === null ? this.error : format("full", time);
        if (this.chart.mark !== null && time !== null) {
            const ends = [this.chart.mark, time].sort((a, b) => a - b);
            this.note.textContent = say("marked", { from: format("full", ends[0]), to: format("full", ends[1]) });
        }
        if (byKey)
            this.spoken.textContent = [
                this.note.textContent,
                ...under.map(({ line, index }) => `${isolated(line.name)}: ${this.text(line.mean[index])}`),
            ].join(", ");
    }

    between({ line, index }) {
        const { digits, unit } = this.group.field;
        const [low, mean, high] = [line.minimum, line.mean, line.maximum].map((values) =>
            number(values[index], digits),
        );
        return withUnit(low === high ? mean : `${mean} (${low} – ${high})`, unit);
    }

    // Asks for the values when they are due and somebody looks.
    async refresh() {
        const { from, to } = this.board;
        const ids = this.shown().map((line) => line.series.id);
        const wanted = `${from} ${to} ${ids}`;
        if (!this.visible || document.hidden || this.asking || (!this.due && wanted === this.askedFor)) return;
        this.asking = true;
        this.due = false;
        try {
            await this.load(ids, from, to);
            this.askedFor = wanted;
            this.error = "";
        } catch (error) {
            this.error = say("broken", { error: error.message });
            this.due = true;
        }
        if (this.chart.cursor === null) this.tell(null, []);
        this.asking = false;
        if (this.board.from !== from || this.board.to !== to) this.refresh();
    }

    async load(ids, from, to) {
        const parts = [];
        const points = pointsOf(to - from, this.chart.width);
        for (let i = 0; i < ids.length; i += ASK_MAX)
            parts.push(
                await ask(`api/values?series=${ids.slice(i, i + ASK_MAX)}&from=${from}&to=${to}&points=${points}`),
            );
        const { bucket } = parts[0];
        const centred = (one) => ({ ...one, time: one.time.map((time) => time + bucket / 2) }); // its middle
        this.loaded = {
            from,
            to,
            bucket,
            series: new Map(parts.flatMap((part) => part.series.map((one) => [one.id, centred(one)]))),
        };
        this.newest = this.board.lastOf(this.group);
        this.draw();
    }

    draw() {
        if (!this.loaded) return;
        const { from, to, bucket, series } = this.loaded;
        const lines = this.shown()
            .map((line) => ({
                ...series.get(line.series.id),
                id: line.series.id,
                name: line.name,
                slot: line.slot,
                limits: line.series.limits,
            }))
            .filter((line) => line.time && (!this.picked.size || this.picked.has(line.id)));
        const limits = new Map(
            lines
                .flatMap((line) => line.limits)
                .filter((limit) => typeof limit.value === "number" && ["above", "below", "is"].includes(limit.kind))
                .map((limit) => [`${limit.kind} ${limit.rule} ${limit.value}`, limit]),
        );
        this.drawn = {
            from,
            to,
            bucket,
            unit: this.group.field.unit,
            digits: this.group.field.digits,
            lines,
            limits: [...limits.values()],
        };
        this.chart.show(this.drawn);
        this.fillTable();
    }

    fillTable() {
        if (!this.details.open || !this.drawn) return;
        const { lines, bucket } = this.drawn;
        const times = [...new Set(lines.flatMap((line) => line.time))].sort((a, b) => b - a);
        const rows = new Map(lines.map((line) => [line, new Map(line.time.map((time, index) => [time, index]))]));
        const cell = (line, time) => {
            const index = rows.get(line).get(time);
            return make("td", { textContent: index === undefined ? "" : this.between({ line, index }) });
        };
        const row = (...cells) => make("tr", {}, ...cells);
        const names = lines.map((line) => make("th", { scope: "col" }, make("bdi", { textContent: line.name })));
        const moments = times.map((time) => {
            const moment = make("th", { scope: "row", textContent: format("full", time - bucket / 2) });
            return row(moment, ...lines.map((line) => cell(line, time)));
        });
        const caption = `${this.title.textContent}: ${say("mean")} (${say("lowest")} – ${say("highest")})`;
        this.table.replaceChildren(
            make(
                "table",
                {},
                make("caption", { textContent: caption }),
                make("thead", {}, row(make("th", { scope: "col", textContent: say("time") }), ...names)),
                make("tbody", {}, ...moments),
            ),
        );
    }
}

// ---- all charts ----

export class Board {
    // *elements*: section, ranges, charts, keys.
    constructor(elements) {
        Object.assign(this, elements);
        this.cards = new Map();
        this.slots = new Map(); // of each device, as long as the page is open
        this.now = Date.now();
        this.keys.textContent = say(matchMedia("(pointer: coarse)").matches ? "touch" : "keys");
        this.fillRanges();
        this.setNamed("day");
    }

    fillRanges() {
        const named = (name) => button(say(name), () => this.setNamed(name, true));
        const step = (key, text, act) => button(text, act, { title: say(key), "aria-label": say(key) });
        this.buttons = new Map(Object.keys(RANGES).map((name) => [name, named(name)]));
        this.backButton = button(say("back"), () => this.back());
        this.shown = make("span", { className: "shown" });
        this.ranges.setAttribute("aria-label", say("ranges"));
        this.ranges.append(
            ...this.buttons.values(),
            make(
                "span",
                { className: "steps" },
                step("earlier", "‹", () => this.move(-1)),
                step("later", "›", () => this.move(1)),
                step("closer", "+", () => this.zoom(0.5, null)),
                step("wider", "−", () => this.zoom(2, null)),
                this.backButton,
            ),
            this.shown,
        );
    }

    // One of RANGES, up to now, and going on with the time; *whole*: somebody wants all of it.
    setNamed(name, whole = false) {
        this.name = name;
        this.whole = whole;
        this.past = [];
        this.apply(this.beginOf(name), this.now);
    }

    // The first day begins with the first value: ten minutes are not a dot at the end of a day.
    beginOf(name) {
        const young = !this.whole && this.first ? this.first - (this.now - this.first) * 0.04 : 0;
        return Math.max(this.now - RANGES[name], Math.min(young, this.now - 2 * MIN_SPAN));
    }

    setRange(from, to) {
        const wanted = Math.min(MAX_SPAN, Math.max(MIN_SPAN, to - from));
        const end = Math.min(Math.round((from + to + wanted) / 2), this.now);
        this.past.push([this.name, this.from, this.to]);
        this.name = null;
        this.apply(end - wanted, end);
    }

    back() {
        const [name, from, to] = this.past.pop();
        this.name = name;
        this.apply(name ? this.beginOf(name) : from, name ? this.now : to);
    }

    move(direction) {
        const half = ((this.to - this.from) / 2) * direction;
        this.setRange(this.from + half, this.to + half);
    }

    zoom(factor, time) {
        const centre = time ?? (this.from + this.to) / 2;
        this.setRange(centre - (centre - this.from) * factor, centre + (this.to - centre) * factor);
    }

    // *live*: "off" where it only goes on with the time.
    apply(from, to, live = "polite") {
        this.from = Math.round(from);
        this.to = Math.round(to);
        for (const [name, entry] of this.buttons)
            entry.setAttribute("aria-pressed", String(name === this.name && to - from >= RANGES[name]));
        this.backButton.disabled = !this.past.length;
        this.shown.setAttribute("aria-live", live);
        this.shown.textContent = `${format("full", this.from)} – ${format("full", this.to)} (${say("zone", { zone })})`;
        for (const card of this.cards.values()) card.refresh();
    }

    lastOf(group) {
        return Math.max(0, ...group.lines.map((line) => line.series.last.time));
    }

    // What /api/series says now; called every few seconds. *rankOf*: which series come first where not all are shown.
    update(series, nameOf, rankOf, now) {
        this.now = now;
        const begun = this.first;
        this.first = Math.min(...series.map((one) => one.from || now));
        if (begun === undefined && this.name) this.apply(this.beginOf(this.name), now, "off");
        const groups = grouped(series, nameOf, rankOf, now);
        giveSlots(groups, this.slots);
        this.section.hidden = !groups.length;
        for (const group of groups) {
            const card = this.cards.get(group.key);
            if (card) card.setGroup(group);
            else this.cards.set(group.key, new Card(this, group));
        }
        for (const [key, card] of this.cards)
            if (!groups.some((group) => group.key === key)) {
                card.element.remove();
                this.cards.delete(key);
            }
        const order = groups.map((group) => this.cards.get(group.key).element);
        if (order.some((element, i) => this.charts.children[i] !== element)) this.charts.replaceChildren(...order);
        this.follow();
        for (const card of this.cards.values()) card.refresh(); // of what failed, or came in between
    }

    // Goes on with the time: not more often than a new bucket can show, but at once when a backlog came.
    follow() {
        const bucket = (this.to - this.from) / POINTS;
        const passed = Math.abs(this.now - this.to); // the clock may be set back
        const seen = [...this.cards.values()].filter((card) => card.visible && card.newest);
        const moved = Math.max(0, ...seen.map((card) => this.lastOf(card.group) - card.newest));
        if (!this.name || passed < 4000) return;
        if (moved > bucket || passed > (moved ? bucket / 4 : Math.max(60e3, bucket)))
            this.apply(this.beginOf(this.name), this.now, "off");
    }
}

// A sensor of movement that gives 1 for ever has a line without news.
const isStill = ({ field, lines }) =>
    field.key === "mo" && field.order >= 1000 && lines.every(({ series }) => series.changed);

// Series by what they measure: [{key, field, lines: [{series, name}]}] in the order to show.
function grouped(series, nameOf, rankOf, now) {
    const groups = new Map();
    for (const one of series) {
        const field = fieldOf(one);
        const key = `${field.name}\n${field.unit}`;
        if (!groups.has(key)) groups.set(key, { key, field, lines: [] });
        groups.get(key).lines.push({ series: one, name: plain(nameOf(one)) });
    }
    for (const group of groups.values()) {
        const names = new Map();
        for (const line of group.lines) names.set(line.name, (names.get(line.name) || 0) + 1);
        for (const line of group.lines) if (names.get(line.name) > 1) line.name += ` ${line.series.field}`;
        const rank = group.lines.length > SLOTS ? rankOf : () => 0;
        for (const line of group.lines) line.rank = now - line.series.last.time > GONE ? 3 : rank(line.series);
        group.lines.sort((a, b) => a.rank - b.rank || byName(a.name, b.name));
    }
    return [...groups.values()].sort(
        (a, b) => isStill(a) - isStill(b) || a.field.order - b.field.order || byName(a.field.name, b.field.name),
    );
}
