/** What the keys do in the composer, in plain text and in the options of a command. */

/**
 * @param {KeyboardEvent & {target: any}} event
 * @param {ReturnType<import("./draft.js").createDraft>} draft
 * @param {import("./suggestions.js").Suggestions|null} offered the list that is open
 * @param {number} index which of it is marked; -1 for none
 */
export function onKey(event, draft, offered, index) {
  // While a Chinese or Japanese word is being composed, its keys are not for us.
  if (event.isComposing) return;
  const { command, text } = draft.get();
  const onButton = event.target.tagName === "BUTTON" && event.target.id !== "more-options";
  if (offered && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const last = offered.items.length - 1;
    const [next, wrapped] = event.key === "ArrowDown" ? [index + 1, 0] : [index - 1, last];
    draft.set({ active: next < 0 || next > last ? wrapped : next });
    document.getElementById(`suggestion-${draft.get().active}`)?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (offered) draft.set({ listOpen: false });
    else if (command) draft.clear();
  } else if (event.key === "Tab" && !event.shiftKey) {
    tab(event, draft, offered, index);
  } else if (event.key === "Enter" && !event.shiftKey && !onButton) {
    event.preventDefault();
    enter(draft, offered, index);
  } else if (
    event.key === "Enter" &&
    event.target.id?.startsWith("option-") &&
    draft.get().entries[draft.get().focused]?.file
  ) {
    event.preventDefault();
    draft.send();
  } else if (event.key === "Backspace" && command && event.target.id?.startsWith("option-") && !event.target.value) {
    const { focused } = draft.get();
    event.preventDefault();
    if (!draft.option(focused).required || draft.get().entries[focused]?.file) draft.removeOption(focused);
    else if (focused === draft.get().shown[0]) draft.leave();
  } else if (event.key === "Backspace" && event.target.id === "more-options") {
    event.preventDefault();
    const last = draft.get().shown.at(-1);
    if (last) draft.focus(last);
    else draft.leave();
  } else if (event.key === "Escape" && !text) {
    event.target.blur();
  }
}

function enter(draft, offered, index) {
  const { command, text } = draft.get();
  const whole = !command && draft.commands().find(({ name, options }) => text.trim() === `/${name}` && !options.length);
  if (offered && index >= 0 && !whole && (!command || wanted(draft, index))) offered.items[index].run();
  else draft.send();
}

/** Whether the marked value is meant: something was typed or looked for, or something must stand there. */
function wanted(draft, index) {
  const { focused, entries } = draft.get();
  if (focused === "+") return true;
  const entry = entries[focused];
  return !entry?.chosen && Boolean(entry?.text || index > 0 || draft.option(focused).required);
}

function tab(event, draft, offered, index) {
  const { command, focused, shown } = draft.get();
  if (!command) {
    if (offered) {
      event.preventDefault();
      offered.items[index].run();
    } else if (draft.get().text.startsWith("/")) {
      event.preventDefault();
      draft.toForm();
    }
    return;
  }
  if (!event.target.id?.startsWith("option-") && event.target.id !== "more-options") return;
  if (offered && wanted(draft, index)) {
    event.preventDefault();
    offered.items[Math.max(index, 0)].run();
    if (focused === "+") return;
  }
  const next = shown[shown.indexOf(focused) + 1] ?? (focused !== "+" && draft.rest().length ? "+" : null);
  if (next) {
    event.preventDefault();
    draft.focus(next);
  }
}
