// SPDX-License-Identifier: Apache-2.0
// One chart as SVG: for each line a band from minimum to maximum and the mean in it, gaps where nothing was measured,
// limits, and a cursor. A range is marked by dragging, or with Shift and the arrows, and handed to `onRange`.

import { svg } from "./elements.js";
import { format, isolated, number, say, withUnit } from "./words.js";

const LEFT = 54, // at least
    RIGHT = 12,
    TOP = 10,
    BOTTOM = 26,
    HEIGHT = 230;
export const MIN_SPAN = 5 * 60e3; // ms; no closer look than this
const MINUTE = 60e3,
    HOUR = 3600e3,
    DAY = 24 * HOUR;

// Steps of the time axis: [length in ms, unit of the calendar, how many of it, format of the text].
const TIME_STEPS = [
    [MINUTE, "UTCMinutes", 1, "minute"],
    [5 * MINUTE, "UTCMinutes", 5, "minute"],
    [15 * MINUTE, "UTCMinutes", 15, "minute"],
    [30 * MINUTE, "UTCMinutes", 30, "minute"],
    [HOUR, "Hours", 1, "minute"],
    [3 * HOUR, "Hours", 3, "minute"],
    [6 * HOUR, "Hours", 6, "minute"],
    [12 * HOUR, "Hours", 12, "minute"],
    [DAY, "Date", 1, "day"],
    [2 * DAY, "Date", 2, "day"],
    [7 * DAY, "Date", 7, "day"],
    [30 * DAY, "Month", 1, "month"],
    [91 * DAY, "Month", 3, "month"],
    [365 * DAY, "FullYear", 1, "year"],
];

// ---- axes ----

// Times of the calendar in the viewer's zone, so that midnight is midnight when the clocks change, too.
export function timeTicks(from, to, wanted) {
    const [, unit, n, text] = TIME_STEPS.find(([length]) => (to - from) / length <= wanted) || TIME_STEPS.at(-1);
    const date = new Date(from);
    if (unit === "UTCMinutes") date.setMinutes(0, 0, 0);
    else date.setHours(0, 0, 0, 0);
    if (unit === "Month" || unit === "FullYear") date.setMonth(0, 1);
    const ticks = [];
    for (
        let last = -Infinity;
        date.getTime() <= to && date.getTime() > last;
        date[`set${unit}`](date[`get${unit}`]() + n)
    ) {
        last = date.getTime();
        if (last < from) continue;
        const midnight = date.getHours() === 0 && date.getMinutes() === 0;
        const newYear = midnight && date.getMonth() === 0 && date.getDate() === 1;
        ticks.push({
            time: last,
            strong: midnight,
            text: format(text === "minute" && midnight ? "day" : text === "month" && newYear ? "year" : text, last),
        });
    }
    return ticks;
}

function valueTicks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step + 0); // not -0
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return ticks.map((value) => ({ value, text: number(value, digits) }));
}

// Lowest and highest of what is drawn. A limit belongs to it, unless the values would shrink to a thread.
function valueRange(lines, limits) {
    let low = Infinity,
        high = -Infinity;
    for (const line of lines)
        for (let i = 0; i < line.time.length; i++) {
            low = Math.min(low, line.minimum[i]);
            high = Math.max(high, line.maximum[i]);
        }
    if (low > high || (low === high && [0, 1].includes(low))) [low, high] = [0, 1];
    const room = Math.max(high - low, Math.abs(high) * 0.02, 1e-6) * 2;
    for (const { value } of limits)
        if (value > low - room && value < high + room) [low, high] = [Math.min(low, value), Math.max(high, value)];
    // a meter that has counted for years grows in a day
    const air = Math.max((high - low) * 0.06, Math.abs(high) * (high > low ? 1e-6 : 0.004), 1e-6);
    return { low: low < 0 ? low - air : Math.max(0, low - air), high: high + air };
}

// ---- lines ----

// Pieces [first, last] of a line without a gap. Sensors have rhythms of their own: a gap is longer than two and a half
// times what nine in ten of its distances are, and than the bucket.
export function pieces(time, bucket) {
    const distances = time
        .slice(1)
        .map((at, i) => at - time[i])
        .sort((a, b) => a - b);
    const usual = Math.max(bucket, distances[Math.floor((distances.length - 1) * 0.9)] || 0);
    const found = [];
    for (let i = 0, first = 0; i < time.length; i++)
        if (i + 1 === time.length || time[i + 1] - time[i] > usual * 2.5) {
            found.push([first, i]);
            first = i + 1;
        }
    return found;
}

const point = (x, y) => `${x.toFixed(1)} ${y.toFixed(1)}`;

// A bucket that stands alone is as long as it lasts: its middle may lie beyond what is shown.
function meanPath(line, piece, x, y, { from, to, bucket }) {
    const points = [];
    for (let i = piece[0]; i <= piece[1]; i++) points.push(point(x(line.time[i]), y(line.mean[i])));
    if (points.length > 1) return `M${points.join("L")}`;
    const time = line.time[piece[0]];
    const ends = [Math.max(from, time - bucket / 2), Math.min(to, time + bucket / 2)];
    return `M${ends.map((end) => point(x(end), y(line.mean[piece[0]]))).join("L")}`;
}

function bandPath(line, piece, x, y) {
    const upper = [],
        lower = [];
    for (let i = piece[0]; i <= piece[1]; i++) {
        upper.push(point(x(line.time[i]), y(line.maximum[i])));
        lower.unshift(point(x(line.time[i]), y(line.minimum[i])));
    }
    return `M${upper.join("L")}L${lower.join("L")}Z`;
}

// Index of the bucket nearest to a time; -1 where none is near.
function nearest(line, time, reach) {
    let low = 0,
        high = line.time.length - 1;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (line.time[middle] < time) low = middle + 1;
        else high = middle;
    }
    if (low > 0 && time - line.time[low - 1] < line.time[low] - time) low--;
    return line.time.length && Math.abs(line.time[low] - time) <= reach ? low : -1;
}

// ---- the chart ----

export class Chart {
    // *handlers*: onRange(from, to), onZoom(factor, time), onCursor(time or null, [{line, index}], byKey).
    constructor(handlers) {
        this.handlers = handlers;
        this.width = 600;
        this.data = null;
        this.cursor = this.mark = null;
        this.plot = svg("g");
        this.over = svg("g", { class: "over" });
        this.image = svg("svg", { "aria-hidden": "true", focusable: "false", height: HEIGHT }, this.plot, this.over);
        this.element = document.createElement("div");
        this.element.className = "plot";
        this.element.tabIndex = 0;
        this.element.setAttribute("role", "group");
        this.element.setAttribute("aria-describedby", "chart-keys");
        this.element.append(this.image);
        this.listen();
        new ResizeObserver(() => this.resize()).observe(this.element);
    }

    // {from, to, bucket, unit, digits, lines: [{name, slot, time, minimum, mean, maximum}], limits: [{kind, rule, value}]}
    show(data) {
        this.data = data;
        this.draw();
        if (this.cursor !== null && (this.cursor < data.from || this.cursor > data.to)) this.setCursor(null);
    }

    resize() {
        const width = Math.max(240, Math.floor(this.element.clientWidth));
        if (width === this.width) return;
        this.width = width;
        this.draw();
    }

    x(time) {
        const { from, to } = this.data;
        return this.left + ((time - from) / (to - from)) * (this.width - this.left - RIGHT);
    }

    y(value) {
        return TOP + ((this.range.high - value) / (this.range.high - this.range.low)) * (HEIGHT - TOP - BOTTOM);
    }

    timeAt(x) {
        const { from, to } = this.data;
        const share = (x - this.left) / (this.width - this.left - RIGHT);
        return from + Math.min(1, Math.max(0, share)) * (to - from);
    }

    draw() {
        if (!this.data) return;
        this.range = valueRange(this.data.lines, this.data.limits);
        this.values = valueTicks(this.range.low, this.range.high);
        this.left = Math.max(LEFT, 14 + 7 * Math.max(...this.values.map(({ text }) => text.length)));
        this.image.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
        this.image.setAttribute("width", this.width);
        this.plot.replaceChildren(
            this.drawAxes(),
            ...this.data.lines.map((line) => this.drawLine(line)),
            ...this.drawLimits(),
        );
        if (!this.data.lines.some((line) => line.time.length))
            this.plot.append(svg("text", { class: "nothing", x: this.width / 2, y: HEIGHT / 2 }, say("noValues")));
        this.drawOver();
    }

    drawAxes() {
        const axes = svg("g", { class: "axes" });
        for (const { value, text } of this.values) {
            const y = this.y(value);
            axes.append(
                svg("line", { x1: this.left, x2: this.width - RIGHT, y1: y, y2: y }),
                svg("text", { class: "value", x: this.left - 7, y: y + 4 }, text),
            );
        }
        for (const tick of timeTicks(this.data.from, this.data.to, (this.width - this.left - RIGHT) / 75)) {
            const x = this.x(tick.time);
            axes.append(
                svg("line", { class: tick.strong ? "strong" : "", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }),
            );
            if (x < this.width - 24) axes.append(svg("text", { class: "time", x, y: HEIGHT - 8 }, tick.text));
        }
        return axes;
    }

    drawLine(line) {
        const x = (time) => this.x(time),
            y = (value) => this.y(value);
        const group = svg("g", { class: `line slot${line.slot}` });
        const found = pieces(line.time, this.data.bucket);
        if (line.time.some((_, i) => line.maximum[i] > line.minimum[i]))
            group.append(svg("path", { class: "band", d: found.map((piece) => bandPath(line, piece, x, y)).join("") }));
        const mean = found.map((piece) => meanPath(line, piece, x, y, this.data));
        group.append(svg("path", { class: "mean", d: mean.join("") }));
        return group;
    }

    drawLimits() {
        return this.data.limits
            .filter(({ value }) => value >= this.range.low && value <= this.range.high)
            .map((limit) => {
                const y = this.y(limit.value);
                const text = say(limit.kind, {
                    value: withUnit(number(limit.value), this.data.unit),
                    rule: isolated(limit.rule),
                });
                return svg(
                    "g",
                    { class: "limit" },
                    svg("line", { x1: this.left, x2: this.width - RIGHT, y1: y, y2: y }),
                    svg("text", { x: this.width - RIGHT - 4, y: y < TOP + 16 ? y + 14 : y - 5 }, text),
                );
            });
    }

    // The cursor, a dot on each line there, and what is marked.
    drawOver() {
        this.over.replaceChildren();
        if (!this.data) return;
        if (this.mark !== null && this.cursor !== null) {
            const [a, b] = [this.x(this.mark), this.x(this.cursor)].sort((one, other) => one - other);
            this.over.append(svg("rect", { class: "mark", x: a, width: b - a, y: TOP, height: HEIGHT - TOP - BOTTOM }));
        }
        if (this.cursor === null) return;
        const x = this.x(this.cursor);
        this.over.append(svg("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
        for (const { line, index } of this.under())
            this.over.append(
                svg("circle", {
                    class: `dot slot${line.slot}`,
                    r: 3.5,
                    cx: this.x(line.time[index]),
                    cy: this.y(line.mean[index]),
                }),
            );
    }

    // What stands under the cursor.
    under() {
        const reach = Math.max(this.data.bucket * 1.5, (this.data.to - this.data.from) / 100);
        return this.data.lines
            .map((line) => ({ line, index: nearest(line, this.cursor, reach) }))
            .filter(({ index }) => index >= 0);
    }

    setCursor(time, byKey = false) {
        this.cursor = time;
        this.drawOver();
        this.handlers.onCursor(time, time === null ? [] : this.under(), byKey);
    }

    // Ends marking; what was marked is shown when it is wide enough.
    finish(wanted) {
        const ends = this.mark === null || this.cursor === null ? null : [this.mark, this.cursor].sort((a, b) => a - b);
        this.mark = null;
        this.setCursor(this.cursor);
        if (!wanted || !ends || this.x(ends[1]) - this.x(ends[0]) < 6) return false;
        const short = Math.max(0, MIN_SPAN - (ends[1] - ends[0])) / 2;
        this.setCursor(null);
        this.handlers.onRange(Math.round(ends[0] - short), Math.round(ends[1] + short));
        return true;
    }

    // ---- pointer and keys ----

    listen() {
        const at = (event) => this.timeAt(event.clientX - this.element.getBoundingClientRect().left);
        this.element.addEventListener("pointerdown", (event) => {
            if (!this.data || event.button !== 0) return;
            this.element.setPointerCapture(event.pointerId);
            this.before = this.cursor;
            this.setCursor(at(event));
            this.mark = this.cursor;
        });
        this.element.addEventListener("pointermove", (event) => this.data && this.setCursor(at(event)));
        this.element.addEventListener("pointerup", () => this.finish(true));
        this.element.addEventListener("pointercancel", () => {
            this.cursor = this.before; // the finger only scrolls
            this.finish(false);
        });
        this.element.addEventListener("pointerleave", (event) => {
            // a finger that is lifted leaves, too: what it tapped is still to be read
            if (this.mark === null && event.pointerType === "mouse") this.setCursor(null);
        });
        this.element.addEventListener("dblclick", () => this.handlers.onZoom(2, null));
        this.element.addEventListener("blur", () => this.mark === null && this.setCursor(null));
        this.element.addEventListener("keydown", (event) => {
            if (this.data && !event.ctrlKey && !event.altKey && !event.metaKey && this.key(event))
                event.preventDefault();
        });
    }

    // True: the key was for the chart.
    key(event) {
        const { from, to } = this.data;
        const step = Math.max(this.data.bucket, (to - from) / 100);
        const moves = {
            ArrowLeft: -step,
            ArrowRight: step,
            PageUp: -10 * step,
            PageDown: 10 * step,
            Home: from - to,
            End: to - from,
        };
        if (event.key in moves) {
            const old = this.cursor ?? (event.key === "ArrowRight" || event.key === "Home" ? from : to);
            if (!event.shiftKey) this.mark = null;
            else if (this.mark === null) this.mark = old;
            this.setCursor(Math.min(to, Math.max(from, old + moves[event.key])), true);
            return true;
        }
        if (event.key === "Enter") return this.finish(true);
        if (event.key === "Escape" && this.cursor !== null) {
            this.finish(false);
            this.setCursor(null, true);
            return true;
        }
        if (!"+-−=".includes(event.key)) return false;
        this.handlers.onZoom(event.key === "+" || event.key === "=" ? 0.5 : 2, this.cursor);
        return true;
    }
}
