// SPDX-License-Identifier: Apache-2.0
// Which colour each device has in the charts.

import { deviceKey } from "./devices.js";

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
