/** The list of messages: who continues whom, days, and staying at the newest unless the reader has scrolled away. */

import { h, memo } from "./dom.js";
import { icon, logo } from "./icons.js";
import { messageView, unansweredView } from "./message.js";
import { channelMessages, unanswered } from "./state.js";

const SAME_BREATH_MS = 7 * 60_000;
const NEAR_END_PX = 60;

/**
 * @param {import("./state.js").State} state
 * @param {import("./message.js").Context} context
 */
export function messagesView(state, context) {
  const messages = channelMessages(state);
  const channel = state.channels.find(({ id }) => id === state.channel);
  const rows = [];
  let above = null;
  for (const message of messages) {
    const day = new Date(message.timestamp).toDateString();
    if (!above || new Date(above.timestamp).toDateString() !== day) {
      rows.push(
        h("li", { key: `day ${day}`, class: "day", role: "separator" }, h("span", null, longDate(message.timestamp))),
      );
      above = null;
    }
    const answered = state.messages[message.message_reference?.message_id] ?? null;
    rows.push(memo(message.id, messageView, message, answered, continues(message, above), context));
    above = message;
  }
  return h(
    "div",
    {
      key: `messages ${state.channel}`,
      class: "scroller",
      tabindex: "0",
      mounted: stayAtEnd,
      "aria-label": `Messages in ${channel?.name ?? "this channel"}`,
      role: "region",
    },
    h(
      "div",
      { class: "scroller-content" },
      welcome(channel),
      h(
        "ol",
        { class: "messages", role: "log", "aria-live": "polite", "aria-relevant": "additions" },
        rows,
        unanswered(state).map((interaction) => unansweredView(interaction, context)),
      ),
    ),
    h("button", { type: "button", class: "to-end", hidden: true, onclick: toEnd }, "Jump to newest", icon("down")),
  );
}

function continues(message, above) {
  return Boolean(
    above &&
    above.author.id === message.author.id &&
    !message.interaction_metadata &&
    !message.message_reference &&
    !((message.flags ^ above.flags) & 64) &&
    Date.parse(message.timestamp) - Date.parse(above.timestamp) < SAME_BREATH_MS,
  );
}

function welcome(channel) {
  if (!channel) return null;
  const name = channel.type === 0 ? `#${channel.name}` : channel.name;
  return h(
    "div",
    { class: "welcome" },
    h("span", { class: "welcome-mark" }, logo()),
    h("h2", null, channel.type === 1 ? name : `Welcome to ${name}`),
    h(
      "p",
      null,
      "Type ",
      h("kbd", null, "/"),
      " to see what the bot can do, or paste a whole command, such as ",
      h("code", { class: "inline" }, "/imagine prompt: a red house on a meadow at night"),
      ".",
    ),
  );
}

function longDate(iso) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "long" }).format(new Date(iso));
}

/** Follows the end of the list as it grows, whatever makes it grow, for as long as the reader is there. */
function stayAtEnd(scroller) {
  let atEnd = true;
  let last = 0;
  const button = scroller.querySelector(".to-end");
  const follow = () => {
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  };
  scroller.addEventListener("scroll", () => {
    const near = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
    // Only the reader goes up. What came in since a move to the end must not look as if they had left it.
    if (near || scroller.scrollTop < last) atEnd = near;
    last = scroller.scrollTop;
    button.hidden = atEnd;
  });
  const observer = new ResizeObserver(follow);
  observer.observe(scroller);
  observer.observe(scroller.querySelector(".scroller-content"));
  follow();
}

function toEnd(event) {
  const scroller = event.currentTarget.closest(".scroller");
  scroller.scrollTop = scroller.scrollHeight;
}
