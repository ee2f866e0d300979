/**
 * What the page knows, and how what the sandbox says changes it. Pure functions from one state to the next; the
 * objects in a state are never changed in place, so that a view can tell by identity what is new.
 */

/**
 * @typedef {object} State
 * @property {"loading"|"ready"} phase
 * @property {"connecting"|"open"|"lost"} connection
 * @property {any} guild the server whose channels are shown
 * @property {any[]} guilds
 * @property {any[]} channels
 * @property {any[]} members
 * @property {any} bot
 * @property {any[]} commands
 * @property {Record<string, any>} messages by id
 * @property {Record<string, any>} interactions by id: this member's own, of this visit
 * @property {Record<string, "busy"|string>} used by component ("message id/custom_id"): "busy", or why it failed
 * @property {Record<string, string[]>} picks by component: what was last chosen in a select, until its message changes
 * @property {string|null} member
 * @property {string|null} channel
 * @property {{interaction: string, modal: any, sent: string|null, error: string|null}|null} modal the open form; `sent` is the interaction that its submission became
 * @property {{pictures: any[], index: number}|null} lightbox
 * @property {{kind: "message"|"member", id: string, x: number, y: number}|null} menu
 * @property {{owner: string, active: number, chosen: string[]|null}|null} select the open list of a select
 * @property {"channels"|"people"|"account"|null} drawer
 * @property {Record<string, number>} typing until when (ms) the bot is typing, by channel
 * @property {string|null} notice a sentence about an action that was refused
 */

/** For how long a `typing` frame holds. */
export const TYPING_MS = 10_000;

/** @returns {State} */
export function initialState() {
  return {
    phase: "loading",
    connection: "connecting",
    guild: { id: "", name: "" },
    guilds: [],
    channels: [],
    members: [],
    bot: { id: "", name: "", online: false, says: "" },
    commands: [],
    messages: {},
    interactions: {},
    used: {},
    picks: {},
    member: null,
    channel: null,
    modal: null,
    lightbox: null,
    menu: null,
    select: null,
    drawer: null,
    typing: {},
    notice: null,
  };
}

/**
 * Takes in a whole `GET /sandbox/state`. Messages that an event has already brought in a newer copy keep that copy.
 * @param {State} state
 * @param {any} world
 * @returns {State}
 */
export function withWorld(state, world) {
  const messages = {};
  for (const message of world.messages) messages[message.id] = newer(state.messages[message.id], message);
  const { guilds, channels, members, bot, commands } = world;
  const open = channels.find(({ id }) => id === state.channel) ?? channels[0];
  const guild = guilds.find(({ id }) => id === (open?.guild_id ?? state.guild.id)) ?? guilds[0];
  const channel = open?.id ?? null;
  return { ...state, phase: "ready", guild, guilds, channels, channel, members, bot, commands, messages };
}

/**
 * Takes in one frame of `GET /sandbox/events`.
 * @param {State} state
 * @param {any} frame
 * @returns {State}
 */
export function withFrame(state, frame) {
  switch (frame.type) {
    case "ready":
    case "presence":
      return { ...state, bot: { ...state.bot, online: frame.online, says: frame.says } };
    case "commands":
      return { ...state, commands: frame.commands };
    case "message_create":
    case "message_update":
      return withMessage(state, frame.message);
    case "message_delete": {
      const { [frame.id]: _gone, ...messages } = state.messages;
      return { ...state, messages };
    }
    case "interaction":
      return withInteraction(state, frame.interaction);
    case "modal":
      return {
        ...state,
        modal: { interaction: frame.interaction_id, modal: frame.modal, sent: null, error: null },
        menu: null,
        select: null,
      };
    case "typing":
      return { ...state, typing: { ...state.typing, [frame.channel_id]: Date.now() + TYPING_MS } };
    default:
      return state;
  }
}

/** @returns {State} */
export function withMessage(state, message) {
  const known = state.messages[message.id];
  const kept = newer(known, message);
  if (kept === known) return state;
  const { [message.channel_id]: _stopped, ...typing } = state.typing;
  const picks = Object.fromEntries(Object.entries(state.picks).filter(([key]) => !key.startsWith(`${message.id}/`)));
  return { ...state, messages: { ...state.messages, [message.id]: kept }, typing, picks };
}

/** Notes that the open form went off as that interaction, whose fate an event may already have brought. */
export function withModalSent(state, id) {
  const sent = { ...state, modal: { ...state.modal, sent: id } };
  return state.interactions[id] ? withInteraction(sent, state.interactions[id]) : sent;
}

function withInteraction(before, interaction) {
  const interactions = { ...before.interactions, [interaction.id]: interaction };
  let state = before;
  if (state.modal?.sent === interaction.id && interaction.state === "failed") {
    state = { ...state, modal: { ...state.modal, error: interaction.failed_reason } };
  } else if (state.modal?.sent === interaction.id && interaction.state !== "sent") {
    state = { ...state, modal: null, select: null };
  }
  if (!interaction.message_id || !interaction.custom_id) return { ...state, interactions };
  const key = componentKey(interaction.message_id, interaction.custom_id);
  const { [key]: _before, ...used } = state.used;
  if (interaction.state === "sent") used[key] = "busy";
  if (interaction.state === "failed") used[key] = interaction.failed_reason ?? "The application did not respond.";
  return { ...state, interactions, used };
}

/** Under what name `used` keeps what became of pressing a component. */
export function componentKey(messageId, customId) {
  return `${messageId}/${customId}`;
}

/** @returns {any[]} what the open channel shows, oldest first */
export function channelMessages(state) {
  return Object.values(state.messages)
    .filter((message) => message.channel_id === state.channel)
    .sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
}

/** Commands of this member that the bot has not answered with a message: being sent, or failed. */
export function unanswered(state) {
  const answered = new Set(Object.values(state.messages).map((message) => message.sandbox?.interaction_id));
  return Object.values(state.interactions).filter(
    ({ id, type, channel_id, state: progress }) =>
      type === 2 && channel_id === state.channel && !answered.has(id) && (progress === "sent" || progress === "failed"),
  );
}

/** @returns {any|undefined} the member, or the bot, of that id */
export function person(state, id) {
  return state.bot.id === id ? { ...state.bot, bot: true } : state.members.find((member) => member.id === id);
}

/** @returns {any[]} the commands that may be used in the open channel */
export function commandsHere({ commands, channel }) {
  return commands.filter(({ sandbox }) => sandbox.channels.includes(channel));
}

/** @returns {any[]} who is in the server that is shown */
export function peopleHere({ members, guild }) {
  return members.filter(({ guild_ids }) => guild_ids.includes(guild.id));
}

/** @returns {any[]} the channels of the server that is shown, of these kinds where kinds are named */
export function channelsHere({ channels, guild }, kinds) {
  return channels.filter(({ guild_id, type }) => guild_id === guild.id && (!kinds?.length || kinds.includes(type)));
}

/** Whether the speaking member may delete that message; an ephemeral one is dismissed instead. */
export function mayDelete(state, message) {
  const channel = state.channels.find(({ id }) => id === message.channel_id);
  return message.author.id === state.member || Boolean(channel?.may_moderate) || Boolean(message.flags & 64);
}

function newer(known, message) {
  return known && known.revision >= message.revision ? known : message;
}
