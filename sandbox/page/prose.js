/** Draws what `markdown.js` read. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { readMarkdown } from "./markdown.js";
import { timestamp } from "./timestamps.js";

/**
 * @typedef {object} Names resolves what a text mentions
 * @property {(id: string) => string} user
 * @property {(id: string) => string} channel
 * @property {string|null} me
 */

/**
 * @param {string} source
 * @param {Names} names
 * @param {string} [className]
 */
export function prose(source, names, className = "") {
  return h(
    "div",
    { class: `prose ${className}`.trim() },
    readMarkdown(source).map((block) => draw(block, names)),
  );
}

function draw(node, names) {
  const inside = () => node.children.map((child) => draw(child, names));
  switch (node.type) {
    case "text":
      return node.text;
    case "paragraph":
      return h("p", null, inside());
    case "h1":
    case "h2":
    case "h3":
      // The page has headings of its own above these: a message must not rearrange its outline.
      return h(
        "div",
        { class: `heading ${node.type}`, role: "heading", "aria-level": Number(node.type[1]) + 3 },
        inside(),
      );
    case "subtext":
      return h("div", { class: "subtext" }, inside());
    case "quote":
      return h("blockquote", null, inside());
    case "list":
      return h(node.ordered ? "ol" : "ul", node.ordered ? { start: node.start } : null, inside());
    case "item":
      return h("li", null, inside());
    case "codeblock":
      return h("pre", { tabindex: "0" }, h("code", null, node.text));
    case "code":
      return h("code", { class: "inline" }, node.text);
    case "time":
      return Number.isFinite(node.unix) && Math.abs(node.unix) < 8.64e12
        ? timestamp(node.unix, node.style)
        : "Invalid time";
    case "user":
      return h("span", { class: node.id === names.me ? "mention mention-me" : "mention" }, `@${names.user(node.id)}`);
    case "role":
      return h("span", { class: "mention" }, "@role");
    case "channel":
      return h("span", { class: "mention" }, `#${names.channel(node.id)}`);
    case "command":
      return h("span", { class: "mention" }, `/${node.name}`);
    case "link":
      return h("a", { href: node.url, target: "_blank", rel: "noopener noreferrer" }, inside());
    case "spoiler":
      return spoiler(inside());
    default:
      return h(node.type, null, inside());
  }
}

/** Whether a spoiler is open is the reader's affair, kept on the element: live edits leave it as it is. */
function spoiler(inside) {
  const open = ({ currentTarget }) => {
    currentTarget.classList.add("open");
    currentTarget.removeAttribute("aria-label");
  };
  const onkeydown = (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open(event));
  return h(
    "span",
    { class: "spoiler", role: "button", tabindex: "0", "aria-label": "Spoiler: show", onclick: open, onkeydown },
    h("span", null, inside),
  );
}

/** @param {string} label */
export function spoilerCover(label) {
  const open = ({ currentTarget }) => (currentTarget.hidden = true);
  return h(
    "button",
    { class: "spoiler-cover", type: "button", onclick: open, "aria-label": `Show ${label}` },
    icon("eye"),
    "Spoiler",
  );
}
