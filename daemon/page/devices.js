// SPDX-License-Identifier: Apache-2.0
// Devices with their latest values and colours, which of them are silent although their source answers, and which are
// gone.

import { ms } from "./chain.js";
import { icon, make } from "./elements.js";
import { ago, byName, fieldOf, number, plain, say, span, withUnit } from "./words.js";

const SILENT_MIN = 65 * 60e3; // a source with on_change sends at least every hour
export const GONE = 30 * 24 * 3600e3; // nothing of it for longer: taken away; the default of alert.forget
const STILL = 24 * 3600e3; // a sensor whose value is the same for longer has lost its device, or is broken

export const deviceKey = (one) => JSON.stringify([one.source, one.device, one.labels]);

// Lists of devices that are called alike.
function sameName(devices) {
    const named = new Map();
    for (const device of devices) named.set(device.name, [...(named.get(device.name) || []), device]);
    return [...named.values()].filter((list) => list.length > 1);
}

// As it was called last: a field that comes no more keeps the name of then.
function nameOf({ series }) {
    const time = (one) => (plain(one.name) ? one.last.time : -1);
    return series.reduce((newest, one) => (time(one) > time(newest) ? one : newest)).name;
}

// Devices with their series, and the name of each, by which no two are called.
export function devicesOf(series) {
    const devices = new Map();
    for (const one of series) {
        const key = deviceKey(one);
        if (!devices.has(key))
            devices.set(key, {
                key,
                source: one.source,
                id: one.device,
                labels: Object.values(one.labels),
                series: [],
            });
        devices.get(key).series.push(one);
    }
    for (const device of devices.values())
        device.name = [nameOf(device), device.id, device.source].map(plain).find(Boolean) || "–";
    const more = [(device) => device.labels.join(" "), (device) => device.source, (device) => device.id];
    for (const words of more)
        for (const twins of sameName([...devices.values()]))
            if (new Set(twins.map(words)).size > 1)
                for (const twin of twins) twin.name = plain(`${twin.name} (${words(twin)})`);
    return [...devices.values()].sort((a, b) => byName(a.name, b.name));
}

const newest = (device) => Math.max(0, ...device.series.map((one) => one.last.time));

// How long a device may say nothing: three polls, and for those that speak when they like as long as they must.
function patience(device, status) {
    const source = status.sources.find((one) => one.name === device.source);
    const interval =
        source && source.next_poll && source.last_poll && !source.failing
            ? ms(source.next_poll) - ms(source.last_poll)
            : 0;
    return Math.max(SILENT_MIN, 3 * interval);
}

// The chain brings what the device measures: then its silence is its own.
export function flows(status, parts) {
    const sink = parts.sinks.find((part) => part.key === `sink ${status.page.subscription}`) || parts.sinks[0];
    return (!sink || sink.state !== "failing") && parts.pubsub.state !== "failing" && parts.outbox?.state !== "failing";
}

// Why nothing is heard of a device, if so, and since when: [key of texts.js, ms]. Whether it is offline, its newest
// message says: a field that comes no more has the word of then.
function silenceOf(device, status, now) {
    const moved = Math.max(0, ...device.series.map((one) => one.moved || 0));
    const last = newest(device);
    if (device.series.some((one) => one.online === false && one.last.time === last)) return ["offline", moved || last];
    if (now - last > patience(device, status)) return ["silent", last];
    return moved && now - moved > STILL ? ["still", moved] : null;
}

export const isGone = (device) => device.silence === "gone";

// {silent, gone}: those that are silent although their source answers, and those that have been for so long that nobody
// waits for them any more; each is marked with why, and since when.
export function silentDevices(devices, status, parts, now) {
    if (!flows(status, parts)) return { silent: [], gone: [] };
    const failing = new Set(parts.sources.filter((part) => part.state === "failing").map((part) => part.name));
    for (const device of devices) {
        if (!newest(device) || failing.has(device.source)) continue;
        [device.silence, device.since] = silenceOf(device, status, now) || [];
        if (device.silence && now - device.since > GONE) device.silence = "gone";
    }
    return {
        silent: devices.filter((device) => device.silence && !isGone(device)),
        gone: devices.filter(isGone),
    };
}

// What stands beside a value that is older than the others of its device.
function oldness(one, device, now) {
    if (device.silence) return "";
    if (newest(device) - one.last.time > 10 * 60e3) return ago(now - one.last.time);
    return one.changed && now - one.changed > STILL ? say("unchanged", { span: span(now - one.changed) }) : "";
}

// A sensor of movement gives 1 for ever: when it changed last is what is worth knowing.
function valueElement(one, field, device, now) {
    const movement = field.key === "mo" && one.changed;
    const text = movement
        ? ago(now - one.changed)
        : withUnit(number(one.last.value, field.digits), field.unit, " ");
    return make(
        "div",
        { className: text.split(" ")[0].length > 8 ? "long" : "" }, // would not fit beside another
        make("dt", { textContent: movement && !one.label ? say("moved") : field.name }),
        make(
            "dd",
            {},
            make("span", { className: "value", textContent: text }),
            make("span", { className: "old", textContent: movement ? "" : oldness(one, device, now) }),
        ),
    );
}

export function deviceElement(device, now) {
    const fields = device.series.map((one) => [fieldOf(one), one]).sort(([a], [b]) => a.order - b.order);
    const state = isGone(device) ? " gone" : device.silence ? " waiting" : "";
    const age = device.silence
        ? [`${say(`${device.silence}Since`)} ${ago(now - device.since)}`]
        : [newest(device) ? ago(now - newest(device)) : ""];
    if (state === " waiting") age.unshift(icon("waiting"));
    const beyond = Math.max(...device.series.map((one) => one.beyond));
    return make(
        "li",
        { className: `device${state}` },
        make("h3", {}, make("bdi", { textContent: device.name })),
        make("p", { className: "age" }, ...age),
        make("dl", {}, ...fields.map(([field, one]) => valueElement(one, field, device, now))),
        beyond && make("p", { className: "under", textContent: say("beyond", { n: number(beyond, 0) }) }),
        make(
            "p",
            { className: "under" },
            make("bdi", { textContent: plain([device.source, ...device.labels].join(" · ")) }),
        ),
    );
}

// ---- colours in the charts ----

export const SLOTS = 8; // colours

// A device has one colour in all charts: the one that is rarest in its charts, then in all. *slots* remembers them.
export function giveSlots(groups, slots) {
    const charts = new Map(); // of a device: the keys of each chart that it is in
    for (const { lines } of groups) {
        const keys = [];
        for (const line of lines) {
            const device = deviceKey(line.series);
            line.key = device;
            for (let n = 2; keys.includes(line.key); n++) line.key = `${device} ${n}`; // one chart, two of its series
            keys.push(line.key);
            charts.set(line.key, [...(charts.get(line.key) || []), keys]);
        }
    }
    for (const [key, beside] of charts) {
        if (slots.has(key)) continue;
        const taken = new Array(SLOTS).fill(0);
        for (const slot of slots.values()) taken[slot]++;
        for (const other of beside.flat()) if (slots.has(other)) taken[slots.get(other)] += 1000; // in one chart
        slots.set(key, taken.indexOf(Math.min(...taken)));
    }
    for (const line of groups.flatMap((group) => group.lines)) line.slot = slots.get(line.key);
}
