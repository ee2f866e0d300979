/** The list above the composer: commands, values to choose from, options to add; and how keys move in it. */

import { commandOf, localized, matchingCommands, optionsOfText } from "./command_line.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * @typedef {object} Suggestions
 * @property {string} title
 * @property {{label: string, description?: string, glyph?: any, run: () => void}[]} items
 */

/**
 * What the composer offers now.
 * @param {ReturnType<import("./draft.js").createDraft>} draft
 * @param {string|undefined} locale
 * @returns {Suggestions|null}
 */
export function suggestionsFor(draft, locale) {
  const { command, text, focused, entries, suggestions, listOpen } = draft.get();
  if (!listOpen) return null;
  if (!command) return commandSuggestions(draft, text);
  if (focused === "+") {
    const items = draft.rest().map((option) => ({
      label: option.name,
      description: localized(option, "description", locale),
      run: () => draft.add(option.name),
    }));
    return items.length ? { title: "Optional", items } : null;
  }
  const option = draft.option(focused);
  if (!option || !draft.get().shown.includes(focused)) return null;
  const entry = entries[focused];
  const pick = (choice) => () => {
    draft.enter(focused, { text: choice.name, chosen: choice });
    draft.set({ listOpen: false });
  };
  const choices = draft.choices(focused);
  let offered = [];
  if (choices) {
    const wanted = entry?.chosen ? "" : (entry?.text ?? "").toLowerCase();
    offered = choices.filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, 25);
  } else if (option.autocomplete && suggestions?.option === focused && !entry?.chosen) {
    offered = suggestions.items;
  }
  if (!offered.length) return null;
  return { title: focused, items: offered.map((choice) => ({ label: choice.name, run: pick(choice) })) };
}

function commandSuggestions(draft, text) {
  if (!/^\/[^\n:]*$/.test(text)) return null;
  const exact = commandOf(draft.commands(), text);
  if (exact && text.length > exact.name.length + 1) return null;
  const items = matchingCommands(draft.commands(), text.slice(1).trimStart()).map((command) => ({
    label: `/${command.name}`,
    description: command.description,
    glyph: icon("slash"),
    run: () => draft.choose(command),
  }));
  return items.length ? { title: "Commands", items } : null;
}

/**
 * @param {Suggestions} suggestions
 * @param {number} active
 * @param {(index: number) => void} activate
 */
export function suggestionList({ title, items }, active, activate) {
  return h(
    "div",
    { key: "suggestions", class: "suggestions", onmousedown: (event) => event.preventDefault() },
    h("div", { class: "suggestions-title", id: "suggestions-title" }, title),
    h(
      "div",
      { id: "suggestions", role: "listbox", "aria-labelledby": "suggestions-title", class: "suggestions-list" },
      items.map((item, index) =>
        h(
          "div",
          {
            key: `${index} ${item.label}`,
            id: `suggestion-${index}`,
            role: "option",
            class: `suggestion${index === active ? " active" : ""}`,
            "aria-selected": String(index === active),
            onclick: item.run,
            onmousemove: () => index !== active && activate(index),
          },
          item.glyph && h("span", { class: "suggestion-glyph" }, item.glyph),
          h("span", { class: "suggestion-label" }, item.label),
          item.description && h("span", { class: "suggestion-description" }, item.description),
        ),
      ),
    ),
  );
}

/**
 * One line about what is being filled in: the chosen option, or a typed command's options.
 * @param {ReturnType<import("./draft.js").createDraft>} draft
 * @param {string|undefined} locale
 */
export function hintView(draft, locale) {
  const { command, text, focused } = draft.get();
  if (command) {
    const option = focused && focused !== "+" ? draft.option(focused) : null;
    return h(
      "div",
      { key: "hint", class: "hint" },
      h("b", null, option ? option.name : `/${command.name}`),
      h("span", null, option ? localized(option, "description", locale) : command.description),
    );
  }
  const typed = commandOf(draft.commands(), text);
  if (!typed || text.length <= typed.name.length + 1) return null;
  const known = optionsOfText(typed, text);
  return h(
    "div",
    { key: "hint", class: "hint" },
    h("b", null, `/${typed.name}`),
    typed.options.map(({ name, required }) =>
      h("span", { class: `hint-option${name in known ? " given" : ""}${required ? " needed" : ""}` }, name),
    ),
    typed.options.length > 0 && h("span", { class: "hint-key" }, h("kbd", null, "Tab"), " to fill in"),
  );
}
