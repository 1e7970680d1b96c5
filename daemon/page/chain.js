// SPDX-License-Identifier: Apache-2.0
// From status.json to what stands in the picture: the parts of the chain, each well, waiting or failing, and a verdict.
// Pure: no document, no clock.
//
// A part: {kind, key, name, state, says, since, retry, detail, figures}. `says` and `figures` are [key of words.js, values];
// a value of `time` is in ms. What is waiting stands still for another part's sake; only a cause is failing.

import { causeOf, httpCode, remedyOf } from "./causes.js";
import { isolated, number, say, when } from "./words.js";

export const ms = (text) => (text ? Date.parse(text) : null);
const shortName = (subscription) => subscription.slice(subscription.lastIndexOf("/") + 1);

function part(kind, key, name, state, says) {
    return { kind, key, name, state, says, since: null, retry: null, detail: "", figures: [] };
}

function count(figures, key, n, always = false) {
    if (n > 0 || always) figures.push([key, { n: number(n, 0) }]);
}

// ---- sources ----

function sourceSays(source, outbox, now) {
    if (source.failing) return ["failing", ["sourceFails"]];
    if (outbox && outbox.full) return ["waiting", ["sourceStopped"]];
    if (source.holding) return ["waiting", ["sourceHolds"]];
    const last = ms(source.speaks ? source.last_reading : source.last_poll);
    if (!last) return ["waiting", [source.speaks ? "sourceUnheard" : "sourceNotYet"]];
    return ["well", [source.speaks ? "sourceHeard" : "sourcePolled", { time: when(last, now) }]];
}

function sourcePart(source, outbox, now) {
    const [state, says] = sourceSays(source, outbox, now);
    const made = part("source", `source ${source.name}`, source.name, state, says);
    made.since = source.failing ? ms(source.failing_since) : null;
    made.retry = source.failing ? ms(source.next_poll) : null;
    made.detail = source.failing ? source.detail : "";
    count(made.figures, "nReadings", source.readings, true);
    count(made.figures, "nUnreadable", source.unreadable);
    return made;
}

// ---- outbox ----

function outboxSays(outbox, pubsubWorks, share) {
    const n = number(outbox.rows, 0);
    if (outbox.failing) return ["failing", ["outboxDisk"]];
    if (outbox.full) return ["failing", ["outboxFull", { n }]];
    if (!pubsubWorks && outbox.rows > 0) return ["waiting", ["outboxWaits", { n }]];
    if (share > 0.8) return ["waiting", ["outboxWaits", { n }]];
    return ["well", outbox.rows > 0 ? ["outboxPasses", { n }] : ["outboxEmpty"]];
}

function outboxPart(outbox, pubsubWorks) {
    const share =
        Math.max(
            (outbox.rows + outbox.rejected_rows) / outbox.max_rows,
            (outbox.bytes + outbox.rejected_bytes) / outbox.max_bytes,
        ) || 0;
    const [state, says] = outboxSays(outbox, pubsubWorks, share);
    const made = part("outbox", "outbox", null, state, says);
    made.since = state !== "well" ? ms(outbox.oldest) : null;
    if (share >= 0.01) made.figures.push(["percent", { n: number(share * 100, 0) }]);
    count(made.figures, "nRejected", outbox.rejected_rows);
    return made;
}

// ---- Pub/Sub ----

// What is wrong with Pub/Sub as a whole, if anything: [says, the object of status.json that tells more].
function pubsubTrouble(status) {
    const subscriptions = status.subscriptions || [];
    if (status.token?.failing && status.publisher?.failing !== false) return [["tokenFails"], status.token];
    if (status.publisher?.failing) return [["pubsubRefuses"], status.publisher];
    if (!subscriptions.length || !subscriptions.every((one) => one.failing && !one.missing))
        return status.token?.failing ? [["tokenFails"], status.token] : null;
    return [["pubsubGivesNot"], subscriptions[0]];
}

function pubsubWell(status, now) {
    const published = ms(status.publisher?.last_publish);
    const pulled = Math.max(...(status.subscriptions || []).map((one) => ms(one.last_pull) || 0), 0);
    if (published) return ["well", ["pubsubTook", { time: when(published, now) }]];
    if (!status.publisher && pulled) return ["well", ["pubsubGave", { time: when(pulled, now) }]];
    return [status.outbox?.rows > 0 || !status.publisher ? "waiting" : "well", ["pubsubNotYet"]];
}

function pubsubPart(status, now) {
    const trouble = pubsubTrouble(status);
    const down = (status.subscriptions || []).filter((one) => one.missing || !one.sink.ready);
    const [state, says] = trouble
        ? ["failing", trouble[0]]
        : status.publisher?.paused
          ? ["waiting", ["pubsubPaused"]]
          : down.length && down.some((one) => one.sink.down_since)
            ? ["waiting", ["pubsubKeeps", { name: isolated(down.find((one) => one.sink.down_since).sink.what) }]]
            : pubsubWell(status, now);
    const made = part("pubsub", "pubsub", null, state, says);
    if (trouble) {
        made.since = ms(trouble[1].failing_since);
        made.retry = ms(trouble[1].retry_at);
        made.detail = trouble[1].detail;
    } else if (status.publisher?.paused) made.detail = status.publisher.detail;
    if (status.publisher) {
        count(made.figures, "nPublished", status.publisher.published, true);
        count(made.figures, "nFailures", trouble ? status.publisher.failures : 0);
    }
    return made;
}

// ---- subscriptions, each with its sink ----

const IN_FLIGHT = 60e3; // what was published before a stop may be stored so much later

// Nothing comes to it because nothing is published; others may go on publishing to the same topic.
function gets(sink, stop) {
    return !stop || (stop.since && ms(sink.last_stored) > stop.since + IN_FLIGHT);
}

// [state, says, since, retry, detail]
function sinkSays(one, stop, now) {
    const { sink } = one;
    if (one.missing) return ["failing", ["sinkMissing"], one.failing_since, one.retry_at, one.detail];
    if (!sink.ready && sink.down_since) return ["failing", ["sinkDown"], sink.down_since, sink.retry_at, sink.detail];
    if (one.unkept > 0)
        return [
            "failing",
            ["sinkUnkept", { n: number(one.unkept, 0) }],
            one.unkept_since,
            null,
            one.detail || sink.detail,
        ];
    if (one.failing && stop) return ["waiting", ["sinkWaits"], null, null, ""];
    if (one.failing) return ["failing", ["sinkNotPulled"], one.failing_since, one.retry_at, one.detail];
    if (!sink.ready) return ["waiting", ["sinkNotYet"], null, null, sink.detail];
    if (one.aside > 0)
        return [
            "waiting",
            ["sinkAside", { n: number(one.aside, 0) }],
            one.oldest_unsettled,
            null,
            one.detail || sink.detail,
        ];
    const target = sink.alerts?.targets?.find((each) => each.failing_since);
    if (target)
        return [
            "failing",
            ["targetFails", { name: isolated(target.name) }],
            target.failing_since,
            target.retry_at,
            target.detail || "",
        ];
    if (!gets(sink, stop)) return ["waiting", ["sinkWaits"], null, null, ""];
    const stored = ms(sink.last_stored);
    const done = sink.alerts ? "sinkJudged" : "sinkStored";
    return ["well", stored ? [done, { time: when(stored, now) }] : ["sinkNothing"], null, null, ""];
}

function sinkPart(one, stop, now) {
    const [state, says, since, retry, detail] = sinkSays(one, stop, now);
    const made = part("sink", `sink ${one.subscription}`, one.sink.what, state, says);
    Object.assign(made, { since: ms(since), retry: ms(retry), detail, subscription: shortName(one.subscription) });
    made.title = one.sink.alerts ? say("alerts") : made.name;
    made.oldest = ms(one.oldest_unsettled);
    made.keptUntil = made.oldest && one.retention_sec ? made.oldest + one.retention_sec * 1000 : null;
    count(made.figures, one.sink.alerts ? "nJudged" : "nStored", one.sink.stored, true);
    count(made.figures, "nHeld", one.held);
    count(made.figures, "nRejectedSince", one.sink.rejected);
    return made;
}

// ---- the whole ----

const VERDICTS_MAX = 3;
const byState = ["failing", "waiting", "well"];

// Nothing is published, if so: {since}.
function stopOf(status) {
    const trouble = pubsubTrouble(status);
    if (trouble) return { since: ms(trouble[1].failing_since) };
    if (!status.publisher?.paused) return null;
    const begun = (status.subscriptions || []).map((one) => (one.missing ? ms(one.failing_since) : null));
    return { since: Math.min(...begun.filter(Boolean), Infinity) };
}

// {sources, outbox, pubsub, sinks}: outbox is null where nothing is published. What is not well stands first.
export function partsOf(status, now) {
    const stop = stopOf(status);
    const order = (parts) => parts.sort((a, b) => byState.indexOf(a.state) - byState.indexOf(b.state));
    return {
        sources: order((status.sources || []).map((source) => sourcePart(source, status.outbox, now))),
        outbox: status.outbox ? outboxPart(status.outbox, !stop) : null,
        pubsub: pubsubPart(status, now),
        sinks: order((status.subscriptions || []).map((one) => sinkPart(one, stop, now))),
    };
}

// The rules that fire, of every subscription with alerts: [{rule, source, device, name, field, value, limit, since}];
// the value is the latest that was judged.
export function alertsOf(status) {
    return (status.subscriptions || []).flatMap((one) => one.sink.alerts?.rules || []);
}

export function all(parts) {
    return [...parts.sources, parts.outbox, parts.pubsub, ...parts.sinks].filter(Boolean);
}

// Devices from which nothing comes, although their source answers: [{source, name}].
export function markSilent(parts, devices) {
    for (const made of parts.sources) {
        const names = devices.filter((device) => device.source === made.name).map((device) => isolated(device.name));
        if (made.state === "well" && names.length)
            Object.assign(made, {
                state: "waiting",
                says: ["sourceSilent", { names: names.slice(0, 3).join(", ") + (names.length > 3 ? " …" : "") }],
            });
    }
}

// How a part is reached: alerts whose target fails get what they judge; the break is behind them.
function reached(made) {
    return made.says[0] === "targetFails" ? "well" : made.state;
}

// The arrows between the stages: how what is to the left reaches what is to the right.
export function arrowsOf(parts) {
    const many = (list) => {
        const states = list.map(reached);
        if (states.every((state) => state === "failing")) return "failing";
        return states.every((state) => state === "well") ? "well" : "waiting";
    };
    const pubsub =
        parts.pubsub.state === "failing" ? "failing" : parts.pubsub.says[0] === "pubsubPaused" ? "waiting" : "well";
    return {
        outbox: parts.outbox?.state === "failing" ? "failing" : many(parts.sources),
        outboxFails: parts.outbox?.state === "failing",
        pubsub,
        sinks: pubsub === "failing" ? "waiting" : many(parts.sinks),
    };
}

// The arrow of one part: from a source to the outbox, or from Pub/Sub to a sink.
export function arrowOf(made, arrows) {
    if (made.kind === "source" && arrows.outboxFails) return "failing";
    return made.kind === "sink" && arrows.pubsub !== "well" && reached(made) === "well" ? "waiting" : reached(made);
}

// What counts for the rates: key of the part -> its counter.
export function counters(status) {
    const found = { outbox: 0 };
    for (const source of status.sources || []) found[`source ${source.name}`] = source.readings;
    if (status.publisher) found.pubsub = status.publisher.published;
    for (const one of status.subscriptions || []) found[`sink ${one.subscription}`] = one.sink.stored;
    return found;
}

function pubsubTitle(made) {
    const titles = { unreachable: "pubsubUnreachable", refused: "pubsubRefused", missing: "pubsubNoTopic" };
    return titles[causeOf(made.detail)] || (made.says[0] === "tokenFails" ? "pubsubNoToken" : "pubsubDown");
}

function sourceFailure(made, name) {
    const titles = { unreachable: "sourceUnreachable", refused: "sourceRefused" };
    const code = httpCode(made.detail);
    const title = titles[causeOf(made.detail)] || "sourceDown";
    return [title, { name }, ...(code ? ["sourceAnswers", { code }] : ["sourceMore", {}])];
}

// One sentence of the verdict for a part that fails: [title, values, what follows from it, values].
function failure(made, status) {
    const name = made.name && isolated(made.name);
    switch (made.kind) {
        case "source":
            return sourceFailure(made, name);
        case "outbox":
            return [status.outbox.failing ? "outboxDiskDown" : "outboxDown", {}, "outboxMore", {}];
        case "pubsub":
            if (!status.outbox) return [pubsubTitle(made), {}, "pubsubMoreOnly", {}];
            return [
                pubsubTitle(made),
                {},
                status.outbox.full || status.outbox.failing ? "pubsubMoreFull" : "pubsubMore",
                {},
            ];
        default:
            return sinkFailure(made, name, status);
    }
}

function sinkFailure(made, name, status) {
    const kept = made.keptUntil ? ["sinkUntil", { time: made.keptUntil }] : ["sinkMore", {}];
    switch (made.says[0]) {
        case "sinkMissing":
            return ["missingTitle", { name }, status.outbox ? "missingMore" : "waitingMore", {}];
        case "sinkUnkept":
            return ["unkeptTitle", { name }, "unkeptMore", {}];
        case "targetFails":
            return ["targetTitle", made.says[1], "targetMore", {}];
        case "sinkNotPulled":
            return ["notPulledTitle", { name }, ...kept];
        default:
            return [causeOf(made.detail) === "refused" ? "sinkRefused" : "isDown", { name }, ...kept];
    }
}

// What a person can do about it: a command, words of this page, or those of the daemon; null: nothing is known.
function todoOf(made) {
    if (made.says[0] === "sinkMissing") return { command: "sensorqd setup" };
    const words = remedyOf(made.detail || "");
    if (words) return { words };
    return made.kind === "pubsub" && causeOf(made.detail) === "unreachable" ? { key: "todoNetwork" } : null;
}

// The failing parts, a cause before what it brings: an outbox is full because nothing is published.
function causesFirst(parts) {
    const failing = all(parts).filter((made) => made.state === "failing");
    const outbox = failing.findIndex((made) => made.says[0] === "outboxFull");
    const cause = failing.findLastIndex((made) => made.kind === "pubsub" || made.says[0] === "sinkMissing");
    if (outbox >= 0 && outbox < cause) failing.splice(cause, 0, ...failing.splice(outbox, 1));
    return failing;
}

// What a reader shall know first: a list of {state, says, since, todo}, the causes only.
export function verdicts(status, parts) {
    const failing = causesFirst(parts);
    if (failing.length) {
        const told = failing
            .slice(0, VERDICTS_MAX)
            .map((made) => ({
                state: "failing",
                says: failure(made, status),
                since: made.kind === "outbox" ? null : made.since, // that of the outbox is its oldest reading
                todo: todoOf(made),
            }));
        const rest = failing.length - told.length;
        return rest
            ? [
                  ...told,
                  { state: "failing", says: ["moreFail", { n: number(rest, 0) }, "moreFailMore", {}], since: null },
              ]
            : told;
    }
    const waiting = all(parts).filter((made) => made.state === "waiting");
    if (!waiting.length) return [{ state: "well", says: ["allWell", {}, "allWellMore", {}], since: null }];
    if (waiting.every((made) => ["sourceNotYet", "sourceUnheard", "sinkNotYet", "pubsubNotYet"].includes(made.says[0])))
        return [{ state: "waiting", says: ["starting", {}, "startingMore", {}], since: null }];
    const first = waiting.find((made) => made.kind !== "source") || waiting[0];
    if (first.kind === "outbox")
        return [{ state: "waiting", says: ["outboxHigh", {}, "outboxHighMore", {}], since: null }];
    const name = first.kind === "pubsub" ? "Pub/Sub" : isolated(first.name);
    return [{ state: "waiting", says: ["partWaits", { name }, "waitingMore", {}], since: null }];
}
