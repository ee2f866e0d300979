/** The page's own glyphs, drawn on a 24 × 24 grid. Decorative: whatever holds one carries its name. */

import { h } from "./dom.js";

const PATHS = {
  hash: "M9 3 7 21M17 3l-2 18M4 9h17M3 15h17",
  thread: "M7 6v8a3 3 0 0 0 3 3h8M18 17l-3.5-3.5M18 17l-3.5 3.5M7 6H4M7 6h13M12 11h8",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2",
  send: "M4 12 3.5 4.2 21 12 3.5 19.8 4 12Zm0 0h8",
  plus: "M12 5v14M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  chevron: "m9 5 7 7-7 7",
  down: "m5 9 7 7 7-7",
  left: "m15 5-7 7 7 7",
  check: "m5 12.5 4.5 4.5L19 7.5",
  download: "M12 4v11m-4.5-4.5L12 15l4.5-4.5M5 20h14",
  external: "M14 4h6v6m0-6-9 9M18 14v5H5V6h5",
  trash: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  apps: "M5 5h5v5H5zM14 5h5v5h-5zM5 14h5v5H5zM14 14h5v5h-5z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  people:
    "M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11Zm-6 8c.4-3.6 2.7-5.4 6-5.4s5.6 1.8 6 5.4M15.5 10.8a3 3 0 0 0 .4-5.8M17.5 13.9c2 .6 3.2 2.3 3.5 5.1",
  menu: "M4 7h16M4 12h16M4 17h16",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  slash: "M15.5 4 8.5 20",
  image: "M4 5h16v14H4zM4 16l5-5 4.5 4.5L16 13l4 4M15.5 9h.01",
  shield: "M12 3.5 19 6v6c0 4.2-2.8 7.2-7 8.5C7.8 19.2 5 16.2 5 12V6z",
  alert: "M12 8v5M12 16.5h.01M12 3.5 22 20H2z",
  reply: "M4 19v-4c0-3 2-5 5-5h11",
  forward: "M14 5l6 6-6 6M20 11H9c-3 0-5 2-5 5v3",
  pin: "M12 21s6.5-6 6.5-11a6.5 6.5 0 0 0-13 0c0 5 6.5 11 6.5 11Z",
  copy: "M8 8h12v12H8zM16 8V4H4v12h4",
};

/**
 * @param {keyof typeof PATHS} name
 * @returns {import("./dom.js").VNode}
 */
export function icon(name) {
  return h(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] }),
  );
}

/** The sign of this page: an easel with a small picture of hills on it. */
export function logo() {
  return h(
    "svg",
    { class: "logo", viewBox: "0 0 48 48", "aria-hidden": "true", focusable: "false" },
    h("path", { d: "M24 4v6M15 34l-5 11M33 34l5 11M24 36v7", class: "logo-legs" }),
    h("rect", { x: "7", y: "9", width: "34", height: "25", rx: "3.5", class: "logo-canvas" }),
    h("circle", { cx: "31.5", cy: "16.5", r: "3.2", class: "logo-sun" }),
    h("path", { d: "M10.5 30.5v-3.8l7.2-7.4 6.3 6.5 4-3.6 9.5 7.3v1z", class: "logo-hills" }),
    h("path", { d: "M5 36h38", class: "logo-ledge" }),
  );
}
