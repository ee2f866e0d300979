/** Keeps the page's picture of the world current: loads it, follows the events, and comes back after a break. */

import { ApiError, fetchState, openEvents } from "./api.js";
import { TYPING_MS, withFrame, withWorld } from "./state.js";

const RETRY_MS = [500, 1000, 2000, 4000];

/**
 * @param {{get: () => import("./state.js").State, set: (change: any) => void}} store
 */
export function createConnection(store) {
  let events = null;
  let timer = 0;
  let attempt = 0;
  /** The frames since `ready`, while the world is being asked for. */
  let missed = null;

  function follow(member) {
    events?.close();
    missed = null;
    clearTimeout(timer);
    events = openEvents(
      member,
      (frame) => onFrame(member, frame),
      () => onClose(member),
    );
  }

  function onFrame(member, frame) {
    if (frame.type === "ready" || frame.type === "world") load(member);
    // Nothing says that a bot has stopped typing; it counts as typing for a while.
    if (frame.type === "typing") setTimeout(() => store.set((state) => ({ ...state })), TYPING_MS + 50);
    missed?.push(frame);
    store.set((state) => withFrame(state, frame));
    const { channels } = store.get();
    if (frame.message && !channels.some(({ id }) => id === frame.message.channel_id)) load(member);
  }

  /**
   * Asks for the world after `ready`, so that nothing falls between it and the events. What happens before the answer
   * is here may or may not be in it, and is therefore told once more: events can be repeated.
   */
  async function load(member) {
    const since = [];
    missed = since;
    try {
      const world = await fetchState(member);
      if (missed !== since) return;
      missed = null;
      attempt = 0;
      store.set((state) => ({ ...since.reduce(withFrame, withWorld(state, world)), connection: "open" }));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (missed === since) onClose(member);
    }
  }

  function onClose(member) {
    events?.close();
    events = missed = null;
    clearTimeout(timer);
    store.set((state) => ({
      ...state,
      connection: "lost",
      used: {},
      interactions: {},
      bot: { ...state.bot, online: false },
    }));
    timer = setTimeout(() => follow(member), RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]);
    attempt += 1;
  }

  return {
    /** Follows the world as that member sees it from now on. */
    follow,
    /** Tries again now rather than when the pause is over. */
    retry: () => (store.get().member ? follow(store.get().member) : location.reload()),
  };
}
