/** A select as Discord draws it, in messages and in forms: a box that opens a list of described options. */

import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * @param {object} spec
 * @param {string} spec.owner tells this select from every other on the page
 * @param {string} spec.label for those who cannot see it
 * @param {{label: string, value: string, description?: string, emoji?: any}[]} spec.options
 * @param {string[]} spec.chosen values
 * @param {number} spec.min
 * @param {number} spec.max
 * @param {string} [spec.placeholder]
 * @param {boolean} [spec.disabled]
 * @param {boolean} [spec.busy]
 * @param {boolean} [spec.invalid]
 * @param {(values: string[]) => void} spec.choose called once the choice is made
 * @param {import("./state.js").State["select"]} open the select that is open now, if any
 * @param {{openSelect: (select: any) => void, closeSelect: () => void}} actions
 */
export function selectView(spec, open, actions) {
  const { owner, options, min, max, disabled, busy } = spec;
  const mine = open?.owner === owner ? open : null;
  const chosen = mine?.chosen ?? spec.chosen;
  const several = max > 1;
  const listId = `list ${owner}`.replace(/\s/g, "-");

  const close = () => {
    actions.closeSelect();
    const changed = chosen.length !== spec.chosen.length || chosen.some((value) => !spec.chosen.includes(value));
    if (several && changed && chosen.length >= min) spec.choose(chosen);
  };
  const toggle = (value) => {
    if (!several) {
      actions.closeSelect();
      spec.choose(chosen.includes(value) && min === 0 ? [] : [value]);
      return;
    }
    const without = chosen.filter((one) => one !== value);
    if (without.length === chosen.length && chosen.length === max) return;
    actions.openSelect({ ...mine, chosen: without.length < chosen.length ? without : [...chosen, value] });
  };
  const show = () =>
    actions.openSelect({
      owner,
      active: Math.max(
        0,
        options.findIndex(({ value }) => chosen.includes(value)),
      ),
      chosen: spec.chosen,
    });

  const onkeydown = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -options.length, End: options.length };
    if (event.key in steps) {
      event.preventDefault();
      if (!mine) show();
      else
        actions.openSelect({
          ...mine,
          active: Math.min(options.length - 1, Math.max(0, mine.active + steps[event.key])),
        });
    } else if (mine && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      toggle(options[mine.active].value);
    } else if (mine && (event.key === "Escape" || event.key === "Tab")) {
      event.stopPropagation();
      close();
    }
  };

  const labels = options.filter(({ value }) => chosen.includes(value));
  return h(
    "div",
    { class: `select${mine ? " open" : ""}`, key: owner },
    mine && h("div", { class: "select-outside", onclick: close, onwheel: (event) => event.preventDefault() }),
    h(
      "button",
      {
        type: "button",
        class: "select-box",
        role: "combobox",
        "aria-haspopup": "listbox",
        "aria-expanded": String(Boolean(mine)),
        "aria-controls": mine && listId,
        "aria-label": spec.label,
        "aria-activedescendant": mine && `${listId}-${mine.active}`,
        "aria-invalid": spec.invalid ? "true" : null,
        "aria-busy": busy ? "true" : null,
        disabled: disabled || busy,
        onclick: () => (mine ? close() : show()),
        onkeydown,
      },
      labels.length
        ? h(
            "span",
            { class: "select-chosen" },
            labels.map((option) =>
              h("span", { class: several ? "select-chip" : "" }, emoji(option.emoji), option.label),
            ),
          )
        : h("span", { class: "select-placeholder" }, spec.placeholder || "Make a selection"),
      icon("down"),
    ),
    mine &&
      h(
        "div",
        {
          class: "select-list",
          mounted: place,
          id: listId,
          role: "listbox",
          "aria-multiselectable": several ? "true" : null,
        },
        options.map((option, index) => {
          const selected = chosen.includes(option.value);
          return h(
            "div",
            {
              id: `${listId}-${index}`,
              class: `select-option${index === mine.active ? " active" : ""}`,
              role: "option",
              "aria-selected": String(selected),
              onclick: () => toggle(option.value),
              onmousemove: () => index !== mine.active && actions.openSelect({ ...mine, active: index }),
            },
            emoji(option.emoji),
            h(
              "span",
              { class: "select-words" },
              h("span", null, option.label),
              option.description && h("small", null, option.description),
            ),
            selected && icon("check"),
          );
        }),
      ),
  );
}

/** @param {{name?: string}|null|undefined} value custom emoji are shown by name: their pictures live elsewhere */
export function emoji(value) {
  return value?.name
    ? h("span", { class: "emoji", "aria-hidden": "true" }, value.id ? `:${value.name}:` : value.name)
    : null;
}

/** Beneath the box, or above it where there is more room; fixed, so that no card or form cuts it off. */
function place(list) {
  const box = list.parentNode.getBoundingClientRect();
  const below = innerHeight - box.bottom;
  list.style.left = `${box.left}px`;
  list.style.width = `${box.width}px`;
  if (below < list.offsetHeight + 12 && box.top > below) list.style.bottom = `${innerHeight - box.top + 4}px`;
  else list.style.top = `${box.bottom + 4}px`;
}
