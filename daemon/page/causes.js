// SPDX-License-Identifier: Apache-2.0
// What the words of a failure tell: what kind it is, and what a person can do. They are the daemon's, in English.

const KINDS = [
    [
        "unreachable",
        /cannot be reached|could not resolve|name not found|network is unreachable|no route to|connection refused/i,
    ],
    ["missing", /\btopics?\/?\S* does not exist/i],
    [
        "refused",
        /\bHTTP 40[13]\b|^(login|forbidden):|\brefuses (the login|\S+: )|invalid_grant|does not accept the access/i,
    ],
];

const BETWEEN = /something (in )?between|proxy/i; // refuses in another's name

// "unreachable", "missing" (a topic), "refused" (a login or a right), or null where the words do not say.
export function causeOf(detail) {
    if (BETWEEN.test(detail || "")) return null;
    return KINDS.find(([, words]) => words.test(detail || ""))?.[0] ?? null;
}

// The status of an answer that is no success, or null where there was none.
export function httpCode(detail) {
    return /\bHTTP ([45]\d\d)\b/.exec(detail || "")?.[1] ?? null;
}

// Only what begins as the daemon's own remedies do: texts of other servers are no advice.
const REMEDY =
    /(^|: )(check|correct|create|enable|free|give|grant|install|issue|look|make|put|restore|run|see|set|wait)\b/;

// "make a new one" of "HTTP 401: refused; make a new one"; "" where it has none.
export function remedyOf(detail) {
    const words = detail.replace(/ \(HTTP \d{3}.*$/s, "");
    const last = words.slice(words.lastIndexOf("; ") + 1).trim();
    return REMEDY.test(last) ? last : "";
}
