"use strict";
// Elements, times, and how a part of the page is replaced without losing the focus, what is open, and what is selected.

const SVG = "http://www.w3.org/2000/svg";
// What stands behind the #, part by part; nothing where that cannot be read.
function fragment() {
  try {
    return location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}
const byId = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {}))
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

// Makes `there` what `wanted` is, node by node: one that stays the same is not touched.
function morph(there, wanted) {
  const own = there.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...there.attributes]) if (!wanted.hasAttribute(name) && !own.includes(name)) there.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  const before = [...there.childNodes];
  const after = [...wanted.childNodes];
  after.forEach((node, at) => {
    const old = before[at];
    if (!old) there.append(node);
    else if (old.nodeName !== node.nodeName || (old.nodeType === 1 && (old.dataset?.key ?? "") !== (node.dataset?.key ?? "")))
      old.replaceWith(node);
    else if (old.nodeType === 1) morph(old, node);
    else if (old.data !== node.data) old.data = node.data;
  });
  before.slice(after.length).forEach((node) => node.remove());
}

function show(id, ...children) {
  const there = byId(id);
  morph(there, filled(there.cloneNode(false), {}, children));
}

// The app's clock, not this machine's: both may be off.
let clockOffset = 0;
const now = () => Date.now() + clockOffset;

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) if (whole >= 2 * length) return `${Math.floor(whole / length)} ${unit}`;
  return `${whole} s`;
}
const moment = (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")}Z`;
const age = (at) => h("time", { datetime: at, "data-ago": at }, `${span((now() - Date.parse(at)) / 1000)} ago`);

function tick() {
  for (const node of document.querySelectorAll("[data-ago]")) {
    const text = `${span((now() - Date.parse(node.dataset.ago)) / 1000)} ago`;
    if (node.textContent !== text) node.textContent = text;
  }
}

const list = (lines) => (lines.length ? h("ul", {}, lines.map((line) => h("li", {}, line))) : null);
const row = (term, ...what) => [h("dt", {}, term), h("dd", {}, ...what)];

// Columns by title; each row gives its cells in that order, the first one names the row. The roles are said, since a phone shows
// the cells below each other, and what is no table by its style is none for a screen reader either.
function table(caption, columns, rows) {
  const cells = (cell, at) => (at === 0 ? h("th", { scope: "row", role: "rowheader" }, cell) : h("td", { role: "cell", "data-head": columns[at] }, cell));
  return h("div", { class: "scroll" },
    h("table", { class: "stacked", role: "table" },
      h("caption", {}, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((title) => h("th", { scope: "col", role: "columnheader" }, title)))),
      h("tbody", { role: "rowgroup" }, rows.map((each) => h("tr", { role: "row" }, each.map(cells))))));
}
