/** What stands around the messages: server rail, channels, the speaking member, people, the bar above. */

import { h } from "./dom.js";
import { icon, logo } from "./icons.js";
import { appTag, avatar } from "./message.js";
import { peopleHere } from "./state.js";

const DIRECT = 1;
const PUBLIC_THREAD = 11;
const PRIVATE_THREAD = 12;

/** The rail of servers. */
export function railView(state, actions) {
  return h("nav", { class: "rail", "aria-label": "Servers" }, servers(state, actions), h("hr"));
}

function servers(state, actions) {
  return state.guilds.map(({ id, name }, index) =>
    h(
      "button",
      {
        key: id,
        type: "button",
        class: `rail-server server-${index % 2}`,
        title: name,
        "aria-label": name,
        "aria-current": id === state.guild.id ? "true" : null,
        onclick: () => actions.openGuild(id),
      },
      logo(),
    ),
  );
}

/**
 * @param {import("./state.js").State} state
 * @param {any} actions
 */
export function channelsView(state, actions) {
  const text = state.channels.filter(({ guild_id, archived }) => guild_id === state.guild.id && !archived);
  const direct = state.channels.filter(({ type }) => type === DIRECT);
  const entry = (channel) =>
    h(
      "button",
      {
        key: channel.id,
        type: "button",
        class: channel.parent_id ? "channel thread" : "channel",
        "aria-current": channel.id === state.channel ? "page" : null,
        onclick: () => actions.openChannel(channel.id),
      },
      channelMark(state, channel),
      h("span", { class: "channel-name" }, channel.name),
      restriction(channel),
    );
  return h(
    "aside",
    { class: `channels${state.drawer === "channels" || state.drawer === "account" ? " drawn" : ""}` },
    h("header", { class: "guild-header" }, h("h1", null, state.guild.name || "Sandbox")),
    state.guilds.length > 1 &&
      h("nav", { class: "server-row only-narrow", "aria-label": "Servers" }, servers(state, actions)),
    h(
      "nav",
      { class: "channel-list", "aria-label": "Channels" },
      h("h2", null, "Text channels"),
      text.map(entry),
      direct.length > 0 && h("h2", null, "Direct messages"),
      direct.map(entry),
    ),
    h(
      "p",
      { class: "sandbox-note" },
      icon("shield"),
      h("span", null, "A sandbox on this machine. Nothing here reaches Discord."),
    ),
    accountView(state, actions),
  );
}

/** What stands before a channel's name: what kind of channel it is. */
function channelMark(state, { type }) {
  if (type === DIRECT) return avatar(state.bot, "tiny");
  return icon({ [PUBLIC_THREAD]: "thread", [PRIVATE_THREAD]: "lock" }[type] ?? "hash");
}

function restriction({ nsfw }) {
  return nsfw && h("small", { class: "age-mark", title: "Age-restricted" }, "18+");
}

function accountView(state, actions) {
  const me = state.members.find(({ id }) => id === state.member);
  if (!me) return null;
  const open = state.drawer === "account";
  const close = (event) => {
    if (event.key !== "Escape") return;
    actions.openDrawer("account");
    event.currentTarget.querySelector(".account").focus();
  };
  return h(
    "div",
    { class: "account-area", onkeydown: open ? close : null },
    open &&
      h(
        "div",
        { class: "accounts", role: "group", "aria-label": "Speak as" },
        h("h2", null, "Speak as"),
        state.members.map((member) =>
          h(
            "button",
            {
              key: member.id,
              type: "button",
              class: "account-choice",
              "aria-pressed": String(member.id === state.member),
              onclick: () => actions.speakAs(member.id),
            },
            avatar(member, "small"),
            h("span", { class: "account-words" }, h("b", null, member.name), h("small", null, roleOf(member))),
            member.id === state.member && icon("check"),
          ),
        ),
      ),
    h(
      "button",
      {
        type: "button",
        class: "account",
        "aria-expanded": String(open),
        "aria-label": `Speaking as ${me.name}. Change member`,
        onclick: () => actions.openDrawer("account"),
      },
      h("span", { class: "presence-avatar" }, avatar(me, "small"), h("span", { class: "presence online" })),
      h("span", { class: "account-words" }, h("b", null, me.name), h("small", null, roleOf(me))),
      icon("down"),
    ),
  );
}

function roleOf(member) {
  const language = member.locale && !member.locale.startsWith("en") ? ` · ${member.locale}` : "";
  return `${member.moderator ? "Moderator" : "Member"}${language}`;
}

/**
 * @param {import("./state.js").State} state
 * @param {any} actions
 */
export function topBarView(state, actions) {
  const channel = state.channels.find(({ id }) => id === state.channel);
  return h(
    "header",
    { class: "top-bar" },
    h(
      "button",
      {
        type: "button",
        class: "icon-button only-narrow",
        "aria-label": "Channels",
        "aria-expanded": String(state.drawer === "channels"),
        onclick: () => actions.openDrawer("channels"),
      },
      icon("menu"),
    ),
    channel && channelMark(state, channel),
    h("h2", { class: "channel-title" }, channel?.name ?? ""),
    channel && restriction(channel),
    h("span", { class: "topic" }, "Pictures by open models, on this machine"),
    h(
      "button",
      {
        type: "button",
        class: "icon-button only-narrow",
        "aria-label": "People",
        "aria-expanded": String(state.drawer === "people"),
        onclick: () => actions.openDrawer("people"),
      },
      icon("people"),
    ),
  );
}

/**
 * @param {import("./state.js").State} state
 * @param {any} actions
 */
export function peopleView(state, actions) {
  const online = state.bot.online ? "online" : "offline";
  const bot = entry({ ...state.bot, online: state.bot.online, isBot: true }, actions);
  const group = (title, people) =>
    people.length > 0 && h("section", { key: title }, h("h2", null, `${title} — ${people.length}`), people);
  const members = (moderator) =>
    peopleHere(state)
      .map((member) => ({ ...member, online: true, moderator: member.moderator_of.includes(state.guild.id) }))
      .filter((member) => member.moderator === moderator)
      .map((member) => entry(member, actions, member.id === state.member));
  return h(
    "aside",
    { class: `people${state.drawer === "people" ? " drawn" : ""}`, "aria-label": "People", "data-bot": online },
    state.bot.online && group("App", [bot]),
    group("Moderators", members(true)),
    group("Members", members(false)),
    !state.bot.online && state.bot.id && group("Offline", [bot]),
  );
}

function entry(who, actions, isMe = false) {
  const status = who.online ? "online" : "offline";
  const open = (event) => {
    event.preventDefault();
    const { left, bottom } = event.currentTarget.getBoundingClientRect();
    actions.openMenu("member", who.id, event.clientX || left, event.clientY || bottom);
  };
  return h(
    "button",
    {
      key: who.id,
      type: "button",
      class: `person ${status}`,
      "aria-label": `${who.name}, ${status}${isMe ? ", you" : ""}`,
      onclick: open,
      oncontextmenu: open,
    },
    h("span", { class: "presence-avatar" }, avatar(who, "small"), h("span", { class: `presence ${status}` })),
    h("span", { class: who.isBot ? "person-name bot" : "person-name" }, who.name),
    who.isBot && appTag(),
    who.online && who.says && h("small", { class: "status-words" }, who.says),
    who.moderator && h("span", { class: "moderator-mark", title: "Moderator" }, icon("shield")),
    isMe && h("small", { class: "you" }, "you"),
  );
}

/** Says, while it is so, that what is shown may be out of date. */
export function bannerView(state, actions) {
  if (state.connection !== "lost") return null;
  return h(
    "div",
    { key: "banner", class: "banner", role: "status" },
    icon("alert"),
    h("span", null, "The connection to the sandbox is lost. Trying again…"),
    h("button", { type: "button", class: "link-button", onclick: actions.retry }, "Try now"),
  );
}
