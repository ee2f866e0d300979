/** Holds the state and tells the page, once for each event at most, that it has changed. */

/**
 * @template S
 * @param {S} initial
 * @param {(state: S) => void} render
 */
export function createStore(initial, render) {
  let state = initial;
  let queued = false;
  return {
    /** @returns {S} */
    get: () => state,
    /**
     * Replaces the state by `change(state)`, or by a copy with the given fields changed.
     * @param {Partial<S>|((state: S) => S)} change
     */
    set(change) {
      const next = typeof change === "function" ? change(state) : { ...state, ...change };
      if (next === state) return;
      state = next;
      if (queued) return;
      queued = true;
      // Before the next event, so that no handler works with what an older state looked like.
      queueMicrotask(() => {
        queued = false;
        render(state);
      });
    },
  };
}
