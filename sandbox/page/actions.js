/** What the member can do: each changes the state and, where it must, asks the sandbox. Views call nothing else. */

import { ApiError, memberApi, sizeOf } from "./api.js";
import { componentKey, initialState, withMessage, withModalSent } from "./state.js";

/**
 * @param {{get: () => import("./state.js").State, set: (change: any) => void}} store
 * @param {{follow: (member: string) => void, retry: () => void}} connection
 */
export function createActions(store, connection) {
  const { get, set } = store;
  const api = () => memberApi(get().member);

  /** Refusals belong to no form here: they are shown above the composer. */
  const attempt = async (work) => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      set({ notice: error.message });
      return null;
    }
  };

  return {
    api,
    retry: connection.retry,

    /** Becomes another member: their messages, their commands, their interactions. */
    speakAs(member) {
      const { channels, members, guild, guilds, bot, channel } = get();
      set({ ...initialState(), phase: "ready", channels, members, guild, guilds, bot, member, channel });
      connection.follow(member);
    },

    openChannel(channel) {
      set((state) => {
        const { guild_id } = state.channels.find(({ id }) => id === channel);
        const guild = state.guilds.find(({ id }) => id === guild_id) ?? state.guild;
        return { ...state, channel, guild, drawer: null, menu: null, select: null, notice: null };
      });
    },

    /** Shows another server, at its first channel. */
    openGuild(guild) {
      const first = get().channels.find(({ guild_id }) => guild_id === guild);
      if (first) this.openChannel(first.id);
    },

    /** Presses a button, or chooses in a select. */
    async use(message, customId, values) {
      const key = componentKey(message.id, customId);
      if (get().used[key] === "busy") return;
      const note = (outcome) => set((state) => ({ ...state, used: { ...state.used, [key]: outcome }, select: null }));
      note("busy");
      if (values) set((state) => ({ ...state, picks: { ...state.picks, [key]: values } }));
      try {
        await api().useComponent(message.id, customId, values);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        note(error.message);
      }
    },

    async submitModal(values, files) {
      const { interaction } = get().modal;
      const showing = (change) => set((state) => (state.modal?.interaction === interaction ? change(state) : state));
      showing((state) => ({ ...state, modal: { ...state.modal, sent: "sending", error: null } }));
      try {
        const { interaction_id: id } = await api().submitModal(interaction, values, files);
        showing((state) => withModalSent(state, id));
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        showing((state) => ({ ...state, modal: { ...state.modal, sent: null, error: error.message } }));
      }
    },
    closeModal: () => set({ modal: null, select: null }),

    runMessageCommand(name, message) {
      set({ menu: null });
      return attempt(() => api().runMessageCommand(message.channel_id, name, message.id));
    },
    runUserCommand(name, userId) {
      set({ menu: null });
      return attempt(() => api().runUserCommand(get().channel, name, userId));
    },

    /** Deletes a message, or dismisses an ephemeral reply; the event that follows takes it off the page. */
    remove(message) {
      set({ menu: null });
      return attempt(() => api().deleteMessage(message.channel_id, message.id));
    },

    /** Sends an ordinary message. Throws, with a sentence for the member, if it could not be sent. */
    async sendMessage(content, files) {
      const { message } = await api().sendMessage(get().channel, content, files);
      set((state) => withMessage({ ...state, notice: null }, message));
    },

    /** Takes a command that was never answered off the page. */
    forget: (id) =>
      set((state) => {
        const { [id]: _forgotten, ...interactions } = state.interactions;
        return { ...state, interactions };
      }),

    /** Shows a picture in full, and finds out its size: pictures inside components come without it. */
    async openLightbox(pictures, index) {
      set({ lightbox: { pictures, index } });
      const measured = await Promise.all(
        pictures.map(async (picture) => ({ ...picture, size: picture.size ?? (await sizeOf(picture.src)) })),
      );
      set((state) =>
        state.lightbox?.pictures === pictures
          ? { ...state, lightbox: { ...state.lightbox, pictures: measured } }
          : state,
      );
    },
    closeLightbox: () => set({ lightbox: null }),
    turn: (by) =>
      set((state) => {
        const { pictures, index } = state.lightbox;
        return { ...state, lightbox: { pictures, index: (index + by + pictures.length) % pictures.length } };
      }),

    openMenu: (kind, id, x, y) => set({ menu: { kind, id, x, y }, drawer: null }),
    closeMenu: () => set({ menu: null }),
    openSelect: (select) => set({ select }),
    closeSelect: () => set({ select: null }),
    openDrawer: (drawer) => set((state) => ({ ...state, drawer: state.drawer === drawer ? null : drawer })),
    setNotice: (notice) => set({ notice }),
  };
}
