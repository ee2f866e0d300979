/** One message, from its "used /imagine" line to its buttons. */

import { localUrl } from "./api.js";
import { componentView } from "./components.js";
import { h } from "./dom.js";
import { embedView } from "./embeds.js";
import { icon } from "./icons.js";
import { fileCard, isPicture, pictureGrid, pictureOfAttachment } from "./media.js";
import { prose } from "./prose.js";
import { mayDelete, person } from "./state.js";
import { messageTime, formatTime } from "./timestamps.js";

/**
 * @typedef {object} Context what every message is drawn with; one object until something in it changes
 * @property {import("./prose.js").Names} names
 * @property {string} member
 * @property {any[]} members
 * @property {any[]} channels
 * @property {any} guild
 * @property {any} bot
 * @property {Record<string, string>} used
 * @property {Record<string, string[]>} picks
 * @property {any} select
 * @property {any} actions
 */

const EPHEMERAL = 64;
const COMPONENTS_V2 = 32768;

/**
 * @param {any} message
 * @param {any|null} answered the message this one replies to, where it is known
 * @param {boolean} continued whether it goes on under the header of the one above
 * @param {Context} context
 */
export function messageView(message, answered, continued, context) {
  const { author } = message;
  const ephemeral = Boolean(message.flags & EPHEMERAL);
  const mentionsMe = (message.mentions ?? []).some(({ id }) => id === context.member);
  const { actions } = context;
  const openMenu = (event) => {
    event.preventDefault();
    actions.openMenu("message", message.id, event.clientX, event.clientY);
  };
  return h(
    "li",
    {
      class: `message${continued ? " continued" : ""}${ephemeral ? " ephemeral" : ""}${mentionsMe ? " mentions-me" : ""}`,
      id: `message-${message.id}`,
      "data-message-id": message.id,
      "data-revision": message.revision,
      "aria-label": `${author.global_name ?? author.username}, ${messageTime(message.timestamp)}`,
      oncontextmenu: openMenu,
    },
    contextLine(message, answered, context),
    continued
      ? h(
          "time",
          { class: "side-time", datetime: message.timestamp },
          formatTime(Date.parse(message.timestamp) / 1000, "t"),
        )
      : avatar(person(stateOf(context), author.id) ?? { name: author.username }, "message-avatar"),
    h(
      "div",
      { class: "message-body" },
      !continued && header(message),
      message.pending
        ? h(
            "p",
            { class: "thinking" },
            h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
            `${author.global_name ?? author.username} is thinking…`,
          )
        : content(message, context),
      ephemeral &&
        h(
          "p",
          { class: "only-you" },
          icon("eye"),
          "Only you can see this · ",
          h(
            "button",
            { type: "button", class: "link-button", onclick: () => actions.remove(message) },
            "Dismiss message",
          ),
        ),
    ),
    toolbar(message, context, openMenu),
  );
}

/** A command that has no answer yet, or never got one. */
export function unansweredView(interaction, context) {
  const { bot, members, member, actions } = context;
  const failed = interaction.state === "failed";
  return h(
    "li",
    { class: "message unanswered", "data-interaction-id": interaction.id },
    usedLine(
      members.find(({ id }) => id === member),
      interaction.command,
      false,
    ),
    avatar(bot, "message-avatar"),
    h(
      "div",
      { class: "message-body" },
      h("div", { class: "message-header" }, h("span", { class: "author bot" }, bot.name), appTag()),
      failed
        ? h(
            "p",
            { class: "failure", role: "alert" },
            icon("alert"),
            interaction.failed_reason ?? "The application did not respond",
            h(
              "button",
              { type: "button", class: "link-button", onclick: () => actions.forget(interaction.id) },
              "Dismiss",
            ),
          )
        : h(
            "p",
            { class: "thinking" },
            h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
            "Sending command…",
          ),
    ),
  );
}

/**
 * @param {{name: string, avatar_url?: string}} who
 * @param {string} className
 */
export function avatar(who, className) {
  const src = localUrl(who.avatar_url);
  return src
    ? h("img", { class: `avatar ${className}`, src, alt: "" })
    : h("span", { class: `avatar ${className}`, "aria-hidden": "true" }, (who.name ?? "?").slice(0, 1).toUpperCase());
}

/** The mark of a bot beside its name. */
export function appTag() {
  return h("span", { class: "app-tag" }, "APP");
}

function header(message) {
  const { author } = message;
  return h(
    "div",
    { class: "message-header" },
    h("span", { class: author.bot ? "author bot" : "author" }, author.global_name ?? author.username),
    author.bot && appTag(),
    h(
      "time",
      { class: "sent", datetime: message.timestamp, title: formatTime(Date.parse(message.timestamp) / 1000, "F") },
      messageTime(message.timestamp),
    ),
  );
}

function contextLine(message, answered, context) {
  // A form's answer belongs to the command that opened the form; what follows a first answer replies to that one.
  const metadata = message.interaction_metadata?.triggering_interaction_metadata ?? message.interaction_metadata;
  if (metadata?.type === 2 && !message.message_reference) {
    const member = context.members.find(({ id }) => id === metadata.user.id);
    return usedLine(
      member ?? { name: metadata.user.global_name ?? metadata.user.username },
      metadata.name ?? "a command",
      true,
    );
  }
  if (!message.message_reference?.message_id || message.message_snapshots) return null;
  if (!answered)
    return h(
      "div",
      { class: "context-line" },
      h("span", { class: "spine" }),
      h("em", null, "The original message was deleted"),
    );
  const who = person(stateOf(context), answered.author.id);
  const jump = () => {
    const target = document.getElementById(`message-${answered.id}`);
    target?.scrollIntoView({ block: "center" });
    target?.animate([{ backgroundColor: "var(--highlight)" }, {}], { duration: 1200 });
  };
  return h(
    "div",
    { class: "context-line" },
    h("span", { class: "spine" }),
    who && avatar(who, "tiny"),
    h(
      "button",
      { type: "button", class: "reply-jump", onclick: jump },
      h("b", null, who?.name ?? answered.author.username),
      " ",
      summary(answered),
    ),
  );
}

function usedLine(member, command, known) {
  const slash = /^[\p{Ll}\p{Lo}\p{N}_ -]+$/u.test(command ?? "");
  return h(
    "div",
    { class: "context-line" },
    h("span", { class: "spine" }),
    member && avatar(member, "tiny"),
    h("b", null, member?.name ?? "Someone"),
    known ? " used " : " is using ",
    h("span", { class: "command-name" }, slash ? `/${command}` : command),
  );
}

function summary(message) {
  const words =
    message.content ||
    textOf(message.components ?? []) ||
    message.embeds?.[0]?.title ||
    message.embeds?.[0]?.description;
  return words ? words.replace(/[*_~`|#>]+/g, "").slice(0, 120) : "Click to see attachment";
}

function textOf(components) {
  for (const component of components) {
    const words = component.content ?? textOf(component.components ?? []);
    if (words) return words;
  }
  return "";
}

function content(message, context) {
  const edited =
    message.edited_timestamp &&
    h("span", { class: "edited", title: messageTime(message.edited_timestamp) }, "(edited)");
  const components = (message.components ?? []).map((component) => componentView(component, message, context));
  if (message.flags & COMPONENTS_V2) return [h("div", { class: "components-v2" }, components), edited];
  // Discord does not repeat beneath an embed the picture that the embed already shows.
  const shown = new Set(
    (message.embeds ?? [])
      .flatMap((embed) => [embed.image, embed.thumbnail, embed.footer, embed.author])
      .map((media) => pathOf(media?.url ?? media?.icon_url)),
  );
  const attachments = (message.attachments ?? []).filter((attachment) => !shown.has(pathOf(attachment.url)));
  return [
    (message.message_snapshots ?? []).map(({ message: original }) => forwarded(original, context)),
    message.content && prose(message.content, context.names, "message-content"),
    edited,
    pictureGrid(attachments.filter(isPicture).map(pictureOfAttachment), context.actions.openLightbox),
    attachments
      .filter((attachment) => !isPicture(attachment))
      .map(({ filename, size, url }) => fileCard({ name: filename, size, url })),
    (message.embeds ?? []).map((embed) => embedView(embed, message, context)),
    components.length > 0 && h("div", { class: "components" }, components),
  ];
}

/** What a message forwards. Its buttons stand there, and do nothing. */
function forwarded(original, context) {
  return h(
    "blockquote",
    { class: "forwarded" },
    h("em", null, icon("forward"), "Forwarded"),
    h("div", { inert: true }, content({ ...original, edited_timestamp: null }, context)),
    h("time", { datetime: original.timestamp }, messageTime(original.timestamp)),
  );
}

function toolbar(message, context, openMenu) {
  const { actions } = context;
  return h(
    "div",
    { class: "message-tools", role: "group", "aria-label": "Message actions" },
    mayDelete(stateOf(context), message) &&
      h(
        "button",
        {
          type: "button",
          class: "icon-button danger",
          "aria-label": message.flags & EPHEMERAL ? "Dismiss message" : "Delete message",
          title: "Delete",
          onclick: () => actions.remove(message),
        },
        icon("trash"),
      ),
    h(
      "button",
      { type: "button", class: "icon-button", "aria-label": "More actions", title: "Apps and more", onclick: openMenu },
      icon("more"),
    ),
  );
}

function stateOf({ members, channels, bot, member }) {
  return { members, channels, bot, member };
}

function pathOf(url) {
  return url ? localUrl(url)?.split("?")[0] : undefined;
}
