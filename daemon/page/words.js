// SPDX-License-Identifier: Apache-2.0
// The page's language; numbers, times and the names of known fields.

import { texts } from "./texts.js";

// Members that sensors use for the same thing; digits and units of what is known. The order is that of the charts.
const known = {
    te: { unit: "°C", digits: 1, same: /^(te|temp|temperature|temperature_c|tc|air_temperature)$/ },
    hu: { unit: "%", digits: 0, same: /^(hu|hum|humidity|rh|relative_humidity)$/ },
    co2: { unit: "ppm", digits: 0, same: /^(co2|co2_ppm|carbon_dioxide|eco2)$/ },
    il: { unit: "", digits: 0, same: /^(il|illuminance|illuminance_lux|lux|light)$/ },
    mo: { unit: "", digits: 0, same: /^(mo|motion|movement|occupancy|presence)$/ },
    power_w: { unit: "W", digits: 0, same: /^(power_w|power|apower|watts?|w)$/ },
    energy_kwh: { unit: "kWh", digits: 1, same: /^energy_kwh$/ },
    energy_sold_kwh: { unit: "kWh", digits: 1, same: /^energy_sold_kwh$/ },
    energy: { unit: "kWh", digits: 1, same: /^(energy|kwh)$/ },
    pressure: { unit: "hPa", digits: 0, same: /^(pressure|air_pressure|barometer)$/ },
    pm25: { unit: "µg/m³", digits: 0, same: /^(pm25|pm2_5)$/ },
    voc: { unit: "", same: /^(voc|tvoc)$/ },
    noise: { unit: "dB", digits: 0, same: /^noise$/ },
    rain: { unit: "mm", digits: 1, same: /^(rain|rain_mm)$/ },
    wind: { unit: "m/s", digits: 1, same: /^(wind|wind_speed)$/ },
    contact: { unit: "", digits: 0, same: /^contact$/ },
    water_leak: { unit: "", digits: 0, same: /^water_leak$/ },
    voltage: { unit: "", same: /^voltage$/ }, // V of a plug, mV of a battery (Zigbee2MQTT)
    battery: { unit: "%", digits: 0, same: /^(battery|battery_level)$/ },
    signal: { unit: "", digits: 0, same: /^(linkquality|rssi|signal|signal_strength)$/ },
    temperature_offset: { unit: "°C", digits: 1, same: /^temperature_offset$/ },
    humidity_offset: { unit: "%", digits: 0, same: /^humidity_offset$/ },
};
const knownOrder = Object.keys(known);

export const language =
    (navigator.languages || [navigator.language])
        .map((tag) => tag.slice(0, 2))
        .find((tag) => tag === "ja" || tag === "en") || "en";
const locale = language === "ja" ? "ja-JP" : (navigator.languages || []).find((tag) => tag.startsWith("en")) || "en-GB";

// The text of that key, with its {placeholders} filled in; "one|many" where the number n decides.
export function say(key, values = {}) {
    const forms = texts[key][language === "ja" ? 1 : 0].split("|");
    const text = values.n === "1" ? forms[0] : forms.at(-1);
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A name that came from outside, safe to stand in any line: what turns the direction of text is taken out.
export function plain(name) {
    return String(name)
        .replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, " ")
        .trim();
}

// The same in the middle of a sentence: between isolates, so that its direction does not reach the rest.
export function isolated(name) {
    return `\u2068${plain(name)}\u2069`;
}

// "Sensor 2" before "Sensor 10"
export const byName = new Intl.Collator(undefined, { numeric: true }).compare;

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// ---- numbers ----

// Digits that tell what there is of a value, if nothing is known of it: of a small one, the first two.
function digitsOf(value) {
    const size = Math.abs(value);
    if (value % 1 === 0 || size >= 1e5) return 0;
    return size >= 100 ? 1 : size >= 0.1 ? 2 : Math.min(20, 1 - Math.floor(Math.log10(size)));
}

const numbers = []; // by digits, since making one is slow

export function number(value, digits = digitsOf(value)) {
    if (Math.abs(value) >= 1e15) return value.toLocaleString(locale, { notation: "scientific" });
    const rounded = Number(value.toFixed(digits)) || 0; // not -0
    const fractions = { maximumFractionDigits: digits, minimumFractionDigits: Math.min(digits, 1) };
    return (numbers[digits] ??= new Intl.NumberFormat(locale, fractions)).format(rounded);
}

export function withUnit(text, unit, blank = "\u00a0") {
    return unit ? `${text}${unit === "%" ? "" : blank}${unit}` : text;
}

export function rate(perMinute) {
    return say("perMinute", { n: number(perMinute, perMinute < 10 ? 1 : 0) });
}

// ---- times; all in ms ----

const formats = {
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { month: "short", day: "numeric" },
    month: { month: "short" },
    year: { year: "numeric", month: "short" },
    full: { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    moment: { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
};
for (const name in formats) formats[name] = new Intl.DateTimeFormat(locale, formats[name]);

export function format(name, time) {
    return formats[name].format(time);
}

// 12:03:04 of today (or 12:03, as "minute"), else with the day.
export function when(time, now, today = "clock") {
    const sameDay = new Date(time).toDateString() === new Date(now).toDateString();
    return format(sameDay ? today : "moment", time);
}

const steps = [
    ["days", 86400e3],
    ["hours", 3600e3],
    ["minutes", 60e3],
    ["seconds", 1e3],
];

// "5 min", "2 hr": how long, in the largest unit that fits, up to two days in hours.
export function span(ms) {
    const [unit, size] = steps.find(([, step]) => ms >= step * (step > 3600e3 ? 2 : 1)) || steps[3];
    return say(unit, { n: number(Math.max(0, Math.floor(ms / size)), 0) });
}

export function ago(ms) {
    return say("ago", { span: span(ms) });
}

// ---- fields ----

// The member that says what is measured: te of /newest_events/te/val.
function member(field) {
    const parts = field
        .split("/")
        .filter((part) => part !== "" && part !== "newest_events")
        .map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
    if (parts.length > 1 && /^(val|value)$/.test(parts.at(-1))) parts.pop();
    return parts;
}

// Name, unit, digits and place of a series, from what its field is called; what the configuration says wins.
export function fieldOf(series) {
    const parts = member(series.field);
    const key = knownOrder.find((name) => known[name].same.test((parts.at(-1) || "").toLowerCase()));
    const facts = known[key] || {};
    return {
        key,
        name: plain(series.label || (key && say(key)) || parts.join(" › ") || series.field),
        unit: facts.unit || "",
        digits: facts.digits,
        order: series.order ?? 1000 + (key ? knownOrder.indexOf(key) : knownOrder.length),
    };
}
