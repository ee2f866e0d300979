/** Puts the page together: state, connection, actions, and the one view that everything is drawn by. */

import { createActions } from "./actions.js";
import { fetchState } from "./api.js";
import { composerView, takeFiles } from "./composer.js";
import { createConnection } from "./connection.js";
import { h, mount } from "./dom.js";
import { createDraft } from "./draft.js";
import { bannerView, channelsView, peopleView, railView, topBarView } from "./frame.js";
import { lightboxView } from "./lightbox.js";
import { remember, remembered } from "./memory.js";
import { menuView } from "./menu.js";
import { messagesView } from "./messages.js";
import { createModal } from "./modal.js";
import { initialState, person } from "./state.js";
import { createStore } from "./store.js";
import { startClock } from "./timestamps.js";

const patch = mount(document.getElementById("app"));
const store = createStore(initialState(), render);
const connection = createConnection(store);
const actions = createActions(store, connection);
const redraw = () => render(store.get());
const draft = createDraft(store, actions, redraw);
const modalView = createModal(actions, redraw);

let context = null;

/** What messages are drawn with. The same object for as long as its parts are the same: see `memo`. */
function contextOf(state) {
  const { member, members, channels, guild, bot, used, picks, select } = state;
  const parts = { member, members, channels, guild, bot, used, picks, select };
  if (!context || Object.entries(parts).some(([name, value]) => context[name] !== value)) {
    const names = {
      me: member,
      user: (id) => person(state, id)?.name ?? "unknown-user",
      channel: (id) => channels.find((channel) => channel.id === id)?.name ?? "unknown",
    };
    context = { ...parts, names, actions };
  }
  return context;
}

function render(state) {
  document.title = state.guild.name ? `${state.guild.name} · Easel sandbox` : "Easel sandbox";
  if (state.connection === "open") remember(state.member, state.channel);
  const messageContext = contextOf(state);
  const covered = Boolean(state.modal || state.lightbox);
  patch([
    h(
      "div",
      {
        key: "shell",
        class: `shell ${state.phase}`,
        "aria-busy": state.phase === "loading" ? "true" : null,
        inert: covered,
      },
      railView(state, actions),
      channelsView(state, actions),
      h(
        "main",
        {
          class: "chat",
          ondragover: (event) => event.preventDefault(),
          ondrop: (event) => (event.preventDefault(), takeFiles(event, event.dataTransfer, draft)),
        },
        topBarView(state, actions),
        bannerView(state, actions),
        state.channel && messagesView(state, messageContext),
        state.channel && composerView(state, draft, actions),
        typingView(state),
      ),
      peopleView(state, actions),
      state.drawer && h("div", { class: "drawer-outside", onclick: () => actions.openDrawer(state.drawer) }),
    ),
    state.modal && modalView(state, messageContext),
    state.lightbox && lightboxView(state.lightbox, actions),
    state.menu && menuView(state, actions),
  ]);
}

function typingView(state) {
  const typing = (state.typing[state.channel] ?? 0) > Date.now();
  return h(
    "p",
    { class: "typing", "aria-live": "polite" },
    typing && [
      h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
      h("b", null, state.bot.name),
      " is typing…",
    ],
  );
}

/** Whoever is remembered may be of another sandbox: then the first member speaks. */
async function start() {
  const kept = remembered();
  const { guild, guilds, channels, members, bot } = await fetchState(null);
  const member = members.find(({ id, name }) => id === kept.member || name === kept.member) ?? members[0];
  const named = channels.find(({ name }) => name === kept.channel);
  store.set({ guild, guilds, channels, members, bot, channel: named?.id ?? kept.channel });
  actions.speakAs(member.id);
}

/** Typing goes to the composer from wherever nothing else takes it. */
document.addEventListener("keydown", (event) => {
  const idle = event.target === document.body || event.target.classList?.contains("scroller");
  if (idle && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey)
    draft.focus(draft.get().focused ?? "");
});

startClock();
redraw();
start().catch(() => {
  store.set({ connection: "lost" });
  setTimeout(() => location.reload(), 3000);
});
