// SPDX-License-Identifier: Apache-2.0
// Elements of the page, made and renewed.

// An element with those properties, attributes (where a name has a dash, or is role) and children, those that there are.
export function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties))
        if (key.includes("-") || key === "role" || key === "lang") element.setAttribute(key, value);
        else element[key] = value;
    element.append(...children.filter(Boolean));
    return element;
}

export function button(textContent, onclick, more = {}) {
    return make("button", { type: "button", textContent, onclick, ...more });
}

export function svg(name, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    element.append(...children);
    return element;
}

const ICONS = {
    well: "M3.5 8.5 7 12l6-7.5",
    waiting: "M5.5 3.5v9M10.5 3.5v9",
    failing: "M4 4l8 8M12 4l-8 8",
    alert: "M3.5 11.5h9M5 11V7a3 3 0 0 1 6 0v4M7.3 13.7h1.4",
    unknown: "M8 11.5v1M5.5 5.5a2.5 2.5 0 1 1 2.5 3V9.5",
};

const kind = (node) => [node.nodeName, node.lang, node.ariaHidden].join();

// Makes *made* the content of *parent*, and leaves what stays the same: it may be marked, have the focus or be read aloud.
export function renew(parent, made) {
    const there = [...parent.childNodes];
    if (there.length !== made.length) return parent.replaceChildren(...made);
    made.forEach((node, i) => {
        if (there[i].isEqualNode(node)) return;
        if (kind(there[i]) !== kind(node) || !node.firstChild) return there[i].replaceWith(node);
        there[i].setAttribute("class", node.getAttribute("class") || "");
        renew(there[i], [...node.childNodes]);
    });
}

// The sign of a state.
export function icon(state) {
    return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[state] }));
}
