/** Times as Discord writes them (`<t:UNIX:STYLE>`); the relative ones count while they are looked at. */

import { h } from "./dom.js";

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/**
 * @param {number} unix seconds
 * @param {string} style one of t T d D f F R
 * @param {number} [now] milliseconds
 * @returns {string}
 */
export function formatTime(unix, style, now = Date.now()) {
  if (style !== "R") return new Intl.DateTimeFormat("en-GB", STYLES[style] ?? STYLES.f).format(unix * 1000);
  const seconds = Math.round(unix - now / 1000);
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/**
 * @param {number} unix seconds
 * @param {string} style
 */
export function timestamp(unix, style) {
  const full = formatTime(unix, "F");
  const props = { class: "timestamp", datetime: new Date(unix * 1000).toISOString(), title: full };
  if (style !== "R") return h("time", props, formatTime(unix, style));
  // The text of a relative time belongs to `startClock`, not to the description, which would be old a second later.
  const write = (node) => (node.textContent = formatTime(unix, "R"));
  return h("time", { ...props, key: `R${unix}`, "data-relative": unix, mounted: write });
}

/** When a message was sent, as its header says it: "Today at 14:03". */
export function messageTime(iso, now = new Date()) {
  const date = new Date(iso);
  const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" }).format(date);
  const days = Math.round((startOfDay(now) - startOfDay(date)) / 86_400_000);
  if (days === 0) return `Today at ${clock}`;
  if (days === 1) return `Yesterday at ${clock}`;
  return `${new Intl.DateTimeFormat("en-GB", { dateStyle: "short" }).format(date)} ${clock}`;
}

/** Makes every relative time on the page count, once a second. */
export function startClock() {
  setInterval(() => {
    for (const node of document.querySelectorAll("time[data-relative]")) {
      const text = formatTime(Number(node.dataset.relative), "R");
      if (node.textContent !== text) node.textContent = text;
    }
  }, 1000);
}

function startOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
