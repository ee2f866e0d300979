/** The context menu of a message or of a member: the bot's commands for it, and what else may be done. */

import { localized } from "./command_line.js";
import { h } from "./dom.js";
import { layer } from "./focus.js";
import { icon } from "./icons.js";
import { commandsHere, mayDelete, person } from "./state.js";

const USER_COMMAND = 2;
const MESSAGE_COMMAND = 3;

/**
 * @param {import("./state.js").State} state
 * @param {any} actions
 */
export function menuView(state, actions) {
  const { kind, id, x, y } = state.menu;
  const items = kind === "message" ? messageItems(state, state.messages[id], actions) : memberItems(state, id, actions);
  const { onkeydown: keepFocus, ...hooks } = layer(actions.closeMenu);
  const onkeydown = (event) => {
    const entries = [...event.currentTarget.querySelectorAll("[role=menuitem]")];
    const at = entries.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      entries.at(next % entries.length)?.focus();
    }
    if (event.key === "Tab") {
      event.preventDefault();
      actions.closeMenu();
    } else keepFocus(event);
  };
  return h(
    "div",
    { key: "menu", class: "menu-layer" },
    h("div", {
      class: "menu-outside",
      onclick: actions.closeMenu,
      oncontextmenu: (event) => (event.preventDefault(), actions.closeMenu()),
    }),
    h(
      "div",
      {
        class: "menu",
        role: "menu",
        "aria-label": kind === "message" ? "Message" : person(state, id)?.name,
        tabindex: "-1",
        ...hooks,
        onkeydown,
        mounted(node) {
          place(node, x, y);
          hooks.mounted(node);
        },
      },
      items,
    ),
  );
}

function messageItems(state, message, actions) {
  if (!message) return [];
  const ephemeral = Boolean(message.flags & 64);
  return [
    apps(state, MESSAGE_COMMAND, (name) => actions.runMessageCommand(name, message)),
    message.content &&
      item("Copy text", "copy", () => (actions.closeMenu(), navigator.clipboard?.writeText(message.content))),
    mayDelete(state, message) &&
      item(ephemeral ? "Dismiss message" : "Delete message", "trash", () => actions.remove(message), "danger"),
  ];
}

function memberItems(state, id, actions) {
  const isBot = id === state.bot.id;
  return [
    !isBot && id !== state.member && item("Speak as this member", "people", () => actions.speakAs(id)),
    apps(state, USER_COMMAND, (name) => actions.runUserCommand(name, id)),
  ];
}

function apps(state, type, run) {
  const commands = commandsHere(state).filter((command) => command.type === type);
  const locale = state.members.find((member) => member.id === state.member)?.locale;
  return h(
    "div",
    { class: "menu-group", role: "group", "aria-label": "Apps" },
    h("div", { class: "menu-title" }, icon("apps"), "Apps"),
    commands.length
      ? commands.map((command) => item(localized(command, "name", locale), null, () => run(command.name)))
      : h("p", { class: "menu-empty" }, state.bot.online ? "No app commands here" : "The app is offline"),
  );
}

function item(label, glyph, onclick, className = "") {
  return h(
    "button",
    { key: label, type: "button", role: "menuitem", tabindex: "-1", class: `menu-item ${className}`.trim(), onclick },
    h("span", null, label),
    glyph && icon(glyph),
  );
}

/** Where it was asked for, but wholly on the screen. */
function place(node, x, y) {
  const { width, height } = node.getBoundingClientRect();
  node.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
  node.style.top = `${Math.max(8, Math.min(y, innerHeight - height - 8))}px`;
}
