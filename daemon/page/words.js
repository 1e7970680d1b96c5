// SPDX-License-Identifier: Apache-2.0
// What the page says, in English and Japanese; numbers, times and the names of known fields.

const english = {
    chain: "From the sensor to storage", values: "Now", charts: "Charts", alerts: "Alerts",
    well: "well", waiting: "waiting", failing: "failing", unknown: "unknown",
    sources: "Sources", outboxIs: "On this machine's disk", pubsubIs: "At Google", sinks: "Destinations", outbox: "Outbox", pubsub: "Pub/Sub",
    allWell: "All is well", allWellMore: "Every reading arrives where it is kept.",
    starting: "Just started", startingMore: "Not every part has answered yet.",
    isDown: "{name} is down", sinkMore: "Readings wait in Pub/Sub. Nothing is lost.",
    sinkUntil: "Readings wait in Pub/Sub, which keeps them until {time}. Nothing is lost.",
    pubsubDown: "Pub/Sub does not work", pubsubMore: "Readings wait in the outbox on this machine. Nothing is lost.",
    pubsubMoreOnly: "Messages wait there. Nothing is lost.",
    sourceDown: "{name} gives no readings", sourceMore: "What it measures now is not recorded.",
    outboxDown: "The outbox takes no more readings", outboxMore: "Sources have stopped. What is in the outbox stays.",
    outboxHigh: "The outbox fills", outboxHighMore: "At the cap the sources stop.",
    partDown: "{name} does not work", waitingMore: "See below what it waits for.",
    moreFail: "{n} more do not work", moreFailMore: "See below.",
    partWaits: "{name} waits", silent: "{name} is silent", silentMore: "No new value has come. Look at its battery, its network, its place.",
    noAnswer: "sensorqd does not answer", noAnswerMore: "What stands below is from {time}.",
    sourcePolled: "Last asked {time}", sourceHeard: "Last heard {time}", sourceNotYet: "Not asked yet",
    sourceUnheard: "Nothing heard yet", sourceFails: "Cannot be read", sourceHolds: "Holds its readings: the disk refuses",
    sourceStopped: "Stopped: the outbox is full",
    outboxEmpty: "Empty: all is published", outboxPasses: "{n} on the way", outboxWaits: "{n} readings wait here",
    outboxFull: "Full: {n} readings wait, sources have stopped", outboxDisk: "The disk refuses to write",
    pubsubTook: "Last took readings {time}", pubsubGave: "Last asked for messages {time}", pubsubNotYet: "Nothing published yet",
    pubsubRefuses: "Does not take readings", pubsubGivesNot: "Gives no messages", tokenFails: "No access: the token cannot be renewed",
    pubsubPaused: "Publishing is paused: a subscription is missing", pubsubKeeps: "Keeps the readings for {name}",
    sinkStored: "Last stored {time}", sinkNothing: "Nothing stored yet", sinkDown: "Cannot be written to", sinkNotYet: "Not reached yet",
    sinkMissing: "Its subscription is missing", sinkNotPulled: "Its messages cannot be fetched", sinkWaits: "Waits for Pub/Sub",
    sinkUnkept: "{n} messages can neither be stored nor set apart", sinkAside: "{n} messages are refused and tried again",
    since: "since {time} ({span})", nextTry: "next try {time}", oldest: "the oldest from {time}",
    nReadings: "{n} readings", nStored: "{n} stored", nPublished: "{n} published", nHeld: "{n} in hand", nRejected: "{n} set apart",
    nUnreadable: "{n} not understood", nFailures: "{n} failed tries", percent: "{n} % full", perMinute: "{n} / min",
    moreWell: "{n} more, all well",
    reloadRefused: "The new configuration was refused at {time}", outboxLeft: "{n} readings of before are left in {name}; nobody publishes them",
    stopping: "sensorqd is stopping",
    ruleFires: "{rule} fires",
    noDevices: "No values yet. They show here when the first reading is stored.",
    stands: "No new values arrive at present: see above.", drawn: "Drawn is what {name} has stored.",
    silentSince: "Silent: last value", noValues: "No values in this time.",
    day: "24 hours", week: "7 days", month: "31 days", year: "1 year", ranges: "Time shown", back: "Back", earlier: "Earlier", later: "Later",
    closer: "Closer", wider: "Wider",
    chartOf: "Chart of {name}", keys: "Drag over a chart to look closer. With the keyboard: arrows move the line, Shift and arrows mark, Enter shows what is marked, + and − zoom, Escape ends.",
    asTable: "As a table", time: "Time", mean: "mean", lowest: "lowest", highest: "highest", marked: "{from} to {to} marked",
    zone: "Times: {zone}", showAll: "Show all {n}", showFew: "Show fewer", devicesShown: "Devices in this chart",
    above: "above {value}: {rule}", below: "below {value}: {rule}", is: "is {value}: {rule}", updated: "Updated {time}", broken: "Values cannot be read: {error}",
    te: "Temperature", hu: "Humidity", il: "Light", mo: "Movement", co2: "CO₂", power_w: "Power", energy_kwh: "Energy taken",
    energy_sold_kwh: "Energy sold", pressure: "Air pressure", battery: "Battery", voltage: "Voltage", pm25: "PM2.5", voc: "VOC", signal: "Signal",
    temperature_offset: "Temperature offset", humidity_offset: "Humidity offset", water_leak: "Water leak", contact: "Contact", rain: "Rain", wind: "Wind", noise: "Noise",
};

const japanese = {
    chain: "センサーから保存先まで", values: "現在の値", charts: "グラフ", alerts: "アラート",
    well: "正常", waiting: "待機中", failing: "障害", unknown: "不明",
    sources: "取得元", outboxIs: "この機器のディスク", pubsubIs: "Google", sinks: "届け先", outbox: "送信待ち", pubsub: "Pub/Sub",
    allWell: "すべて正常です", allWellMore: "測定値はすべて保存先に届いています。",
    starting: "起動したばかりです", startingMore: "まだ応答していない部分があります。",
    isDown: "{name} が停止しています", sinkMore: "測定値は Pub/Sub で待機しています。失われていません。",
    sinkUntil: "測定値は Pub/Sub が {time} まで保持します。失われていません。",
    pubsubDown: "Pub/Sub が使えません", pubsubMore: "測定値はこの機器の送信待ちに保存されています。失われていません。",
    pubsubMoreOnly: "メッセージは Pub/Sub で待機しています。失われていません。",
    sourceDown: "{name} から測定値が届きません", sourceMore: "いま測定されている値は記録されていません。",
    outboxDown: "送信待ちに書き込めません", outboxMore: "取得を停止しました。すでに保存した測定値は残っています。",
    outboxHigh: "送信待ちが増えています", outboxHighMore: "上限に達すると取得を停止します。",
    partDown: "{name} に障害があります", waitingMore: "下の図で理由を確認してください。",
    moreFail: "ほか {n} 件に障害があります", moreFailMore: "下の図を見てください。",
    partWaits: "{name} が待機しています", silent: "{name} から値が届きません", silentMore: "新しい値がありません。電池、ネットワーク、設置場所を確認してください。",
    noAnswer: "sensorqd が応答しません", noAnswerMore: "下の表示は {time} のものです。",
    sourcePolled: "最後の取得 {time}", sourceHeard: "最後の受信 {time}", sourceNotYet: "まだ取得していません",
    sourceUnheard: "まだ受信していません", sourceFails: "取得できません", sourceHolds: "ディスクに書けないため測定値をメモリーに保持しています",
    sourceStopped: "送信待ちが満杯のため停止中",
    outboxEmpty: "空: すべて送信済み", outboxPasses: "{n} 件を送信中", outboxWaits: "{n} 件が待機しています",
    outboxFull: "満杯: {n} 件が待機し、取得を停止しました", outboxDisk: "ディスクに書き込めません",
    pubsubTook: "最後の送信 {time}", pubsubGave: "最後の受信確認 {time}", pubsubNotYet: "まだ送信していません",
    pubsubRefuses: "測定値を受け付けません", pubsubGivesNot: "メッセージを受信できません", tokenFails: "アクセストークンを更新できません",
    pubsubPaused: "サブスクリプションがないため送信を停止中", pubsubKeeps: "{name} のために測定値を保持しています",
    sinkStored: "最後の保存 {time}", sinkNothing: "まだ保存していません", sinkDown: "書き込めません", sinkNotYet: "まだ接続していません",
    sinkMissing: "サブスクリプションがありません", sinkNotPulled: "メッセージを取得できません", sinkWaits: "Pub/Sub を待っています",
    sinkUnkept: "{n} 件を保存も隔離もできません", sinkAside: "{n} 件が拒否され、再試行しています",
    since: "{time} から ({span})", nextTry: "次の試行 {time}", oldest: "最も古いものは {time}",
    nReadings: "{n} 件取得", nStored: "{n} 件保存", nPublished: "{n} 件送信", nHeld: "{n} 件処理中", nRejected: "{n} 件隔離",
    nUnreadable: "{n} 件解釈不能", nFailures: "失敗 {n} 回", percent: "使用率 {n} %", perMinute: "{n} 件/分",
    moreWell: "ほか {n} 件、すべて正常",
    reloadRefused: "新しい設定は {time} に拒否されました", outboxLeft: "以前の測定値 {n} 件が {name} に残っています (送信されません)",
    stopping: "sensorqd は停止処理中です",
    ruleFires: "{rule} が発生中",
    noDevices: "まだ値がありません。最初の測定値が保存されると表示されます。",
    stands: "現在、新しい値は届いていません。上の図を見てください。", drawn: "{name} が保存した値を表示しています。",
    silentSince: "無応答: 最後の値は", noValues: "この期間の値はありません。",
    day: "24 時間", week: "7 日", month: "31 日", year: "1 年", ranges: "表示期間", back: "戻る", earlier: "前へ", later: "次へ",
    closer: "拡大", wider: "縮小",
    chartOf: "{name} のグラフ", keys: "グラフ上をドラッグすると拡大します。キーボード: 矢印で線を移動、Shift+矢印で選択、Enter で拡大、+ と − で拡大縮小、Escape で終了。",
    asTable: "表で見る", time: "時刻", mean: "平均", lowest: "最小", highest: "最大", marked: "{from} から {to} を選択",
    zone: "時刻: {zone}", showAll: "{n} 件すべて表示", showFew: "減らす", devicesShown: "このグラフの機器",
    above: "{value} 超: {rule}", below: "{value} 未満: {rule}", is: "{value}: {rule}", updated: "{time} 更新", broken: "値を読み込めません: {error}",
    te: "温度", hu: "湿度", il: "明るさ", mo: "人の動き", co2: "CO₂", power_w: "電力", energy_kwh: "買電量",
    energy_sold_kwh: "売電量", pressure: "気圧", battery: "電池", voltage: "電圧", pm25: "PM2.5", voc: "VOC", signal: "電波",
    temperature_offset: "温度補正", humidity_offset: "湿度補正", water_leak: "水漏れ", contact: "開閉", rain: "雨量", wind: "風速", noise: "騒音",
};

// Members that sensors use for the same thing; digits and units of what is known. The order is that of the charts.
const known = {
    te: { unit: "°C", digits: 1, same: /^(te|temp|temperature|temperature_c|tc|air_temperature)$/ },
    hu: { unit: "%", digits: 0, same: /^(hu|hum|humidity|rh|relative_humidity)$/ },
    co2: { unit: "ppm", digits: 0, same: /^(co2|co2_ppm|carbon_dioxide|eco2)$/ },
    il: { unit: "", digits: 0, same: /^(il|illuminance|illuminance_lux|lux|light)$/ },
    mo: { unit: "", digits: 0, same: /^(mo|motion|movement|occupancy|presence)$/ },
    power_w: { unit: "W", digits: 0, same: /^(power_w|power|apower|watts?|w)$/ },
    energy_kwh: { unit: "kWh", digits: 1, same: /^(energy_kwh|energy|kwh)$/ },
    energy_sold_kwh: { unit: "kWh", digits: 1, same: /^energy_sold_kwh$/ },
    pressure: { unit: "hPa", digits: 0, same: /^(pressure|air_pressure|barometer)$/ },
    pm25: { unit: "µg/m³", digits: 0, same: /^(pm25|pm2_5)$/ },
    voc: { unit: "", digits: 0, same: /^(voc|tvoc)$/ },
    noise: { unit: "dB", digits: 0, same: /^noise$/ },
    rain: { unit: "mm", digits: 1, same: /^(rain|rain_mm)$/ },
    wind: { unit: "m/s", digits: 1, same: /^(wind|wind_speed)$/ },
    contact: { unit: "", digits: 0, same: /^contact$/ },
    water_leak: { unit: "", digits: 0, same: /^water_leak$/ },
    voltage: { unit: "V", digits: 1, same: /^voltage$/ },
    battery: { unit: "%", digits: 0, same: /^(battery|battery_level)$/ },
    signal: { unit: "", digits: 0, same: /^(linkquality|rssi|signal|signal_strength)$/ },
    temperature_offset: { unit: "°C", digits: 1, same: /^temperature_offset$/ },
    humidity_offset: { unit: "%", digits: 0, same: /^humidity_offset$/ },
};
const knownOrder = Object.keys(known);

export const language = (navigator.languages || [navigator.language]).map((tag) => tag.slice(0, 2))
    .find((tag) => tag === "ja" || tag === "en") || "en";
const words = language === "ja" ? japanese : english;
const locale = language === "ja" ? "ja-JP" : (navigator.languages || []).find((tag) => tag.startsWith("en")) || "en-GB";

// The text of that key, with its {placeholders} filled in.
export function say(key, values = {}) {
    return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A name that came from outside, safe to stand in any line: what turns the direction of text is taken out.
export function plain(name) {
    return String(name).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, " ").trim();
}

// The same in the middle of a sentence: between isolates, so that its direction does not reach the rest.
export function isolated(name) {
    return `\u2068${plain(name)}\u2069`;
}

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// ---- numbers ----

export function number(value, digits = value % 1 === 0 || Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : 2) {
    return value.toLocaleString(locale, { maximumFractionDigits: digits, minimumFractionDigits: Math.min(digits, 1) });
}

export function withUnit(text, unit) {
    return unit ? `${text}${unit === "%" ? "" : "\u00a0"}${unit}` : text;
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
for (const name in formats)
    formats[name] = new Intl.DateTimeFormat(locale, formats[name]);

// One of clock, minute, day, month, year, full, moment.
export function format(name, time) {
    return formats[name].format(time);
}

// 12:03:04 of today, else with the day.
export function when(time, now) {
    const sameDay = new Date(time).toDateString() === new Date(now).toDateString();
    return format(sameDay ? "clock" : "moment", time);
}

const relative = new Intl.RelativeTimeFormat(locale, { style: "short" });
const steps = [["day", 86400e3], ["hour", 3600e3], ["minute", 60e3], ["second", 1e3]];

// The largest unit that fits, up to two days in hours.
function inSteps(ms) {
    const [unit, size] = steps.find(([, step]) => ms >= step * (step > 3600e3 ? 2 : 1)) || steps[3];
    return [Math.max(0, Math.floor(ms / size)), unit];
}

// "5 min", "2 hr": how long.
export function span(ms) {
    const [n, unit] = inSteps(ms);
    return n.toLocaleString(locale, { style: "unit", unit, unitDisplay: "short" });
}

// "5 min. ago"
export function ago(ms) {
    const [n, unit] = inSteps(ms);
    return relative.format(-n, unit);
}

// ---- fields ----

// The member that says what is measured: te of /newest_events/te/val.
function member(field) {
    const parts = field.split("/").filter((part) => part !== "" && part !== "newest_events")
        .map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
    if (parts.length > 1 && /^(val|value)$/.test(parts.at(-1)))
        parts.pop();
    return parts;
}

// Name, unit, digits and place of a series, from what its field is called; what the configuration says wins.
export function fieldOf(series) {
    const parts = member(series.field);
    const key = knownOrder.find((name) => known[name].same.test((parts.at(-1) || "").toLowerCase()));
    const facts = known[key] || {};
    return {
        name: plain(series.label || (key && words[key]) || parts.join(" › ") || series.field),
        unit: series.unit === null || series.unit === undefined ? facts.unit || "" : plain(series.unit),
        digits: facts.digits,
        order: series.order ?? 1000 + (key ? knownOrder.indexOf(key) : knownOrder.length),
    };
}
