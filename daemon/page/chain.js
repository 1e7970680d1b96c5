// SPDX-License-Identifier: Apache-2.0
// From status.json to what stands in the picture: the parts of the chain, each well, waiting or failing, and a verdict.
// Pure: no document, no clock.
//
// `says` and `figures` of a part are [key of texts.js, values]; a value of `time` is in ms. `cause` and `remedy` are kind
// and remedy of status.json. What is waiting stands still for another part's sake; only a cause is failing.

import { isolated, number, say, when } from "./words.js";

export const ms = (text) => (text ? Date.parse(text) : null);
const shortName = (subscription) => subscription.slice(subscription.lastIndexOf("/") + 1);

function part(kind, key, name, state, says) {
    const nothing = { since: null, oldest: null, retry: null, detail: "", cause: null, remedy: null };
    return { kind, key, name, state, says, ...nothing, figures: [] };
}

// What the daemon tells of a failure of that part; `from` is the object of status.json that has it.
function blame(made, from, since = from.failing_since) {
    made.since = ms(since);
    made.retry = ms(from.retry_at);
    made.detail = from.detail || "";
    made.cause = from.kind || "other";
    made.remedy = from.remedy || null;
}

function count(figures, key, n, always = false) {
    if (n > 0 || always) figures.push([key, { n: number(n, 0) }]);
}

// ---- sources ----

function sourceSays(source, outbox, now) {
    if (source.failing) return ["failing", ["sourceFails"]];
    if (source.readings + source.repeats === 0 && source.unreadable >= 3) return ["failing", ["sourceGarbled"]];
    if (outbox && outbox.full) return ["waiting", ["sourceStopped"]];
    if (source.holding) return ["waiting", ["sourceHolds"]];
    const last = ms(source.speaks ? source.last_reading : source.last_poll);
    if (!last) return ["waiting", [source.speaks ? "sourceUnheard" : "sourceNotYet"]];
    return ["well", [source.speaks ? "sourceHeard" : "sourcePolled", { time: when(last, now) }]];
}

function sourcePart(source, outbox, now) {
    const [state, says] = sourceSays(source, outbox, now);
    const made = part("source", `source ${source.name}`, source.name, state, says);
    if (source.failing) blame(made, { ...source, retry_at: source.next_poll });
    count(made.figures, "nReadings", source.readings, true);
    count(made.figures, "nLeftOut", source.left_out);
    count(made.figures, "nUnreadable", source.unreadable);
    count(made.figures, "nDropped", source.dropped);
    return made;
}

// ---- outbox ----

// The disk under the outbox fails: it takes nothing, or nothing can be read back.
const OF_THE_DISK = ["disk", "full", "occupied"];
function diskTrouble({ outbox, publisher }) {
    if (outbox?.failing) return outbox;
    return outbox && publisher?.failing && OF_THE_DISK.includes(publisher.kind) ? publisher : null;
}

function outboxSays(outbox, disk, pubsubWorks, share) {
    const n = number(outbox.rows, 0);
    if (disk && !outbox.failing) return ["failing", ["outboxUnread", { n }]];
    if (disk) return ["failing", ["outboxDisk"]];
    if (outbox.full) return ["failing", ["outboxFull", { n }]];
    if (!pubsubWorks && outbox.rows > 0) return ["waiting", ["outboxWaits", { n }]];
    if (share > 0.8) return ["waiting", ["outboxWaits", { n }]];
    return ["well", outbox.rows > 0 ? ["outboxPasses", { n }] : ["outboxEmpty"]];
}

function outboxPart(status, pubsubWorks) {
    const { outbox } = status;
    const disk = diskTrouble(status);
    const share =
        Math.max(
            (outbox.rows + outbox.rejected_rows) / outbox.max_rows,
            (outbox.bytes + outbox.rejected_bytes) / outbox.max_bytes,
        ) || 0;
    const [state, says] = outboxSays(outbox, disk, pubsubWorks, share);
    const made = part("outbox", "outbox", null, state, says);
    if (disk) blame(made, disk);
    else made.oldest = state !== "well" ? ms(outbox.oldest) : null;
    if (share >= 0.01) made.figures.push(["percent", { n: number(share * 100, 0) }]);
    count(made.figures, "nRejected", outbox.rejected_rows);
    return made;
}

// ---- Pub/Sub ----

// What is wrong with Pub/Sub as a whole, if anything: [says, the object of status.json that tells more].
function pubsubTrouble(status) {
    const { subscriptions } = status;
    if (status.token.failing && status.publisher?.failing !== false) return [["tokenFails"], status.token];
    if (status.publisher?.failing && !diskTrouble(status)) return [["pubsubRefuses"], status.publisher];
    if (!subscriptions.length || !subscriptions.every((one) => one.failing && !one.missing))
        return status.token.failing ? [["tokenFails"], status.token] : null;
    return [["pubsubGivesNot"], subscriptions[0]];
}

function pubsubWell(status, now) {
    const published = ms(status.publisher?.last_publish);
    const pulled = Math.max(...status.subscriptions.map((one) => ms(one.last_pull) || 0), 0);
    if (published) return ["well", ["pubsubTook", { time: when(published, now) }]];
    if (!status.publisher && pulled) return ["well", ["pubsubGave", { time: when(pulled, now) }]];
    return [status.outbox?.rows > 0 || !status.publisher ? "waiting" : "well", ["pubsubNotYet"]];
}

// Until when Pub/Sub keeps what waits there, and whether that is over; *since*: where that does not say.
function keep(made, list, since, now) {
    const until = list.map((one) => {
        const oldest = ms(one.oldest_unsettled || one.paused_since || one.failing_since || since);
        return oldest && one.retention_sec ? oldest + one.retention_sec * 1000 : Infinity;
    });
    made.keptUntil = Math.min(...until);
    made.overdue = made.keptUntil < now;
}

function pubsubPart(status, now) {
    const trouble = pubsubTrouble(status);
    const down = status.subscriptions.find((one) => (one.missing || !one.sink.ready) && one.sink.down_since);
    const [state, says] = trouble
        ? ["failing", trouble[0]]
        : status.publisher?.paused
          ? ["waiting", ["pubsubPaused"]]
          : down
            ? ["waiting", ["pubsubKeeps", { name: isolated(down.sink.what) }]]
            : status.publisher?.failing
              ? ["waiting", ["pubsubUnfed"]]
              : pubsubWell(status, now);
    const made = part("pubsub", "pubsub", null, state, says);
    if (trouble) {
        blame(made, trouble[1]);
        keep(made, status.subscriptions, trouble[1].failing_since, now);
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

// [state, says, the object of status.json that tells more, since]
function sinkSays(one, stop, now) {
    const { sink } = one;
    if (one.missing) return ["failing", ["sinkMissing"], one];
    if (!sink.ready && sink.down_since) return ["failing", ["sinkDown"], sink, sink.down_since];
    if (one.unkept > 0) return ["failing", ["sinkUnkept", { n: number(one.unkept, 0) }], sink, one.unkept_since];
    if (one.failing && stop) return ["waiting", ["sinkWaits"]];
    if (one.failing) return ["failing", ["sinkNotPulled"], one];
    if (!sink.ready) return ["waiting", [sink.untried ? "sinkWaits" : "sinkNotYet"], sink];
    if (one.aside > 0) return ["waiting", ["sinkAside", { n: number(one.aside, 0) }], sink, one.oldest_unsettled];
    const target = sink.alerts?.targets.find((each) => each.failing_since);
    if (target) return ["failing", ["targetFails", { name: isolated(target.name) }], target];
    if (!gets(sink, stop)) return ["waiting", ["sinkWaits"]];
    const stored = ms(sink.last_stored);
    const done = sink.alerts ? "sinkJudged" : "sinkStored";
    return ["well", stored ? [done, { time: when(stored, now) }] : ["sinkNothing"]];
}

function sinkPart(one, stop, now) {
    const [state, says, from, since] = sinkSays(one, stop, now);
    const made = part("sink", `sink ${one.subscription}`, one.sink.what, state, says);
    if (from) blame(made, from, since);
    made.subscription = shortName(one.subscription);
    made.title = one.sink.alerts ? say("alerts") : made.name;
    keep(made, [one], null, now);
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
    if (status.publisher?.failing) return { since: ms(status.publisher.failing_since) };
    if (!status.publisher?.paused) return null;
    const begun = status.subscriptions.map((one) => (one.missing ? ms(one.failing_since) : null));
    return { since: Math.min(...begun.filter(Boolean), Infinity) };
}

// {sources, outbox, pubsub, sinks}: outbox is null where nothing is published. What is not well stands first.
export function partsOf(status, now) {
    const stop = stopOf(status);
    const order = (parts) => parts.sort((a, b) => byState.indexOf(a.state) - byState.indexOf(b.state));
    return {
        sources: order(status.sources.map((source) => sourcePart(source, status.outbox, now))),
        outbox: status.outbox ? outboxPart(status, !stop) : null,
        pubsub: pubsubPart(status, now),
        sinks: order(status.subscriptions.map((one) => sinkPart(one, stop, now))),
    };
}

// The rules that fire, with the latest value that was judged.
export function alertsOf(status) {
    return status.subscriptions.flatMap((one) => one.sink.alerts?.rules || []);
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

// The arrow of one part: from a source to the outbox, or from Pub/Sub to a sink.
export function arrowOf(made, arrows) {
    const state = reached(made);
    if (made.kind === "source" && arrows.full && state === "well") return "waiting";
    return made.kind === "sink" && arrows.pubsub !== "well" && state === "well" ? "waiting" : state;
}

// The line that several share: something passes while one of them is well.
function shared(list, arrows) {
    const states = list.map((made) => arrowOf(made, arrows));
    if (states.length === 1) return states[0];
    return states.includes("well") ? "well" : "waiting";
}

function pubsubArrow({ outbox, pubsub }) {
    if (pubsub.state === "failing" || outbox?.says[0] === "outboxUnread") return "failing";
    return ["pubsubPaused", "pubsubUnfed"].includes(pubsub.says[0]) ? "waiting" : "well";
}

// The arrows between the stages: how what is to the left reaches what is to the right.
export function arrowsOf(parts) {
    const full = ["outboxDisk", "outboxFull"].includes(parts.outbox?.says[0]);
    const arrows = { full, pubsub: pubsubArrow(parts) };
    arrows.sources = shared(parts.sources, arrows);
    arrows.outbox = full ? "failing" : arrows.sources;
    arrows.sinks = shared(parts.sinks, arrows);
    return arrows;
}

// What counts for the rates: key of the part -> its counter.
export function counters(status) {
    const found = { outbox: 0 };
    for (const source of status.sources) found[`source ${source.name}`] = source.readings;
    if (status.publisher) found.pubsub = status.publisher.published;
    for (const one of status.subscriptions) found[`sink ${one.subscription}`] = one.sink.stored;
    return found;
}

// "MongoDB cannot be reached", "Google Pub/Sub refuses access": by what kind of failure it is.
function titleOf(made, name) {
    return [`is_${made.cause}`, { name }];
}

// What becomes of what waits in Pub/Sub.
function waitsThere({ keptUntil, overdue }) {
    return keptUntil < Infinity ? [overdue ? "sinkOverdue" : "sinkUntil", { time: keptUntil }] : ["sinkMore", {}];
}

function pubsubFailure(made, { outbox }) {
    const name = made.says[0] === "tokenFails" ? "Google" : "Google Pub/Sub";
    const title = made.cause === "missing" ? ["pubsubNoTopic", {}] : titleOf(made, name);
    if (!outbox) return [...title, ...waitsThere(made)];
    return [...title, outbox.full || outbox.failing ? "pubsubMoreFull" : "pubsubMore", {}];
}

function outboxFailure(made) {
    const titles = { outboxFull: "outboxDown", outboxDisk: made.cause === "full" ? "outboxNoSpace" : "outboxDiskDown" };
    if (made.says[0] === "outboxUnread") return ["outboxUnreadable", {}, "outboxUnreadMore", {}];
    return [titles[made.says[0]], {}, "outboxMore", {}];
}

// One sentence of the verdict for a part that fails: [title, values, what follows from it, values].
function failure(made, status) {
    const name = made.name && isolated(made.name);
    switch (made.kind) {
        case "source":
            if (made.says[0] === "sourceGarbled") return ["garbledTitle", { name }, "garbledMore", {}];
            return [...(made.cause === "other" ? ["sourceDown", { name }] : titleOf(made, name)), "sourceMore", {}];
        case "outbox":
            return outboxFailure(made);
        case "pubsub":
            return pubsubFailure(made, status);
        default:
            return sinkFailure(made, name, status);
    }
}

function sinkFailure(made, name, status) {
    const kept = waitsThere(made);
    switch (made.says[0]) {
        case "sinkMissing":
            return ["missingTitle", { name }, status.outbox ? "missingMore" : "waitingMore", {}];
        case "sinkUnkept":
            return ["unkeptTitle", { name }, "unkeptMore", {}];
        case "targetFails":
            return [...made.says, "targetMore", {}];
        case "sinkNotPulled":
            return ["notPulledTitle", { name }, ...kept];
        default:
            return [...titleOf(made, name), ...kept];
    }
}

// What a person can do about it: a command, or words; null: nothing is known.
function todoOf(made) {
    if (made.says[0] === "sourceGarbled") return { command: "sensorqd rejected list" };
    if (!made.remedy) return null;
    if (made.remedy === "setup") return { command: say("do_setup") };
    // lib/http-outcome.c: the host was found, and answers
    const remedy = made.detail.includes("connection refused") ? made.remedy.replace("network", "refused") : made.remedy;
    const name = made.says[1]?.name ?? (made.name ? isolated(made.name) : "Google");
    return { key: `do_${remedy.replaceAll("-", "_")}`, name };
}

// The failing parts, a cause before what it brings.
function causesFirst(parts) {
    const failing = all(parts).filter((made) => made.state === "failing");
    const outbox = failing.findIndex((made) => made.says[0] === "outboxFull");
    const cause = failing.findLastIndex((made) => made.kind === "pubsub" || made.says[0] === "sinkMissing");
    if (outbox >= 0 && outbox < cause) failing.splice(cause, 0, ...failing.splice(outbox, 1));
    return failing;
}

// What could not become a reading, and is gone, by source.
function losses(status) {
    return status.sources
        .filter((source) => source.dropped > 0)
        .slice(0, VERDICTS_MAX)
        .map(({ name, dropped }) => ({
            state: "failing",
            says: ["lostTitle", { name: isolated(name), n: number(dropped, 0) }, "lostMore", {}],
            todo: { command: "sensorqd rejected list" },
        }));
}

// A source whose clock differs by more than a minute: silence and failures may be due to that.
export function clockWrong(status) {
    return status.sources
        .filter((source) => source.clock_wrong)
        .slice(0, 1)
        .map(({ name }) => ({
            state: "waiting",
            says: ["clockTitle", {}, "clockMore", { name: isolated(name) }],
            todo: { key: "do_clock" },
        }));
}

function failures(status, failing) {
    const told = failing.slice(0, VERDICTS_MAX).map((made) => ({
        state: "failing",
        says: failure(made, status),
        since: made.since,
        todo: todoOf(made),
    }));
    const n = number(failing.length - told.length, 0);
    if (failing.length > told.length)
        told.push({ state: "failing", says: ["moreFail", { n }, "moreFailMore", {}] });
    return told;
}

function waits(waiting) {
    if (waiting.every((made) => ["sourceNotYet", "sinkNotYet", "pubsubNotYet"].includes(made.says[0])))
        return ["starting", {}, "startingMore", {}];
    const first = waiting.find((made) => made.kind !== "source") || waiting[0];
    if (first.kind === "outbox") return ["outboxHigh", {}, "outboxHighMore", {}];
    const name = first.kind === "pubsub" ? "Pub/Sub" : isolated(first.name);
    return ["partWaits", { name }, "waitingMore", {}];
}

// What a reader shall know first: a list of {state, says, since, todo}, the causes only; the last two where known.
export function verdicts(status, parts) {
    const more = [...losses(status), ...clockWrong(status)];
    const failing = causesFirst(parts);
    if (failing.length) return [...failures(status, failing), ...more];
    // unheard: which may take days
    const waiting = all(parts).filter((made) => made.state === "waiting" && made.says[0] !== "sourceUnheard");
    if (waiting.length) return [{ state: "waiting", says: waits(waiting) }, ...more];
    return more.length ? more : [{ state: "well", says: ["allWell", {}, "allWellMore", {}] }];
}
