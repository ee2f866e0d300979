/** Where messages and commands are written. */

import { OPTION } from "./command_line.js";
import { h } from "./dom.js";
import { firstActive } from "./draft.js";
import { icon } from "./icons.js";
import { onKey } from "./keys.js";
import { formatBytes } from "./media.js";
import { hintView, suggestionList, suggestionsFor } from "./suggestions.js";

/**
 * @param {import("./state.js").State} state
 * @param {ReturnType<import("./draft.js").createDraft>} draft
 * @param {any} actions
 */
export function composerView(state, draft, actions) {
  const { command, problem, active, sending } = draft.get();
  const locale = state.members.find(({ id }) => id === state.member)?.locale;
  const offered = suggestionsFor(draft, locale);
  const index = offered ? Math.min(active, offered.items.length - 1) : 0;
  const notice = problem?.message ?? state.notice;
  const combobox = {
    "aria-expanded": String(Boolean(offered)),
    "aria-controls": offered ? "suggestions" : null,
    "aria-activedescendant": offered && index >= 0 ? `suggestion-${index}` : null,
    "aria-autocomplete": "list",
  };
  return h(
    "div",
    {
      class: `composer${problem ? " wrong" : ""}`,
      onkeydown: (event) => onKey(event, draft, offered, index),
      onpaste: (event) => takeFiles(event, event.clipboardData, draft),
    },
    offered && suggestionList(offered, index, (at) => draft.set({ active: at })),
    notice
      ? h(
          "div",
          { key: "problem", class: "hint problem", role: "alert" },
          icon("alert"),
          problem?.option && h("b", null, problem.option),
          h("span", null, notice),
          h(
            "button",
            {
              type: "button",
              class: "icon-button",
              "aria-label": "Dismiss",
              onclick: () => (actions.setNotice(null), draft.set({ problem: null })),
            },
            icon("close"),
          ),
        )
      : hintView(draft, locale),
    h(
      "div",
      { class: "composer-box" },
      command ? commandForm(draft, combobox) : plainForm(state, draft, combobox),
      h(
        "button",
        {
          type: "button",
          class: "icon-button send",
          "aria-label": "Send",
          "aria-busy": sending ? "true" : null,
          onclick: draft.send,
        },
        icon("send"),
      ),
    ),
  );
}

/** Takes files that were pasted or dropped; other pastes go their ordinary way. */
export function takeFiles(event, transfer, draft) {
  const files = [...(transfer?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  files.forEach((file) => draft.attach(file));
}

function plainForm(state, draft, combobox) {
  const { text, files } = draft.get();
  const channel = state.channels.find(({ id }) => id === state.channel);
  const name = `${{ 0: "#", 1: "@" }[channel?.type] ?? ""}${channel?.name ?? ""}`;
  return h(
    "div",
    { key: "plain", class: "plain-form" },
    files.length > 0 &&
      h(
        "div",
        { class: "tray" },
        files.map(({ file, preview }, index) => trayItem(file, preview, () => draft.dropFile(index))),
      ),
    h(
      "div",
      { class: "plain-line" },
      h(
        "label",
        { class: "icon-button attach", title: "Add files" },
        icon("plus"),
        h("input", {
          type: "file",
          multiple: true,
          class: "unseen",
          "aria-label": "Add files",
          onchange: (event) => pickFiles(event, draft),
        }),
      ),
      h("textarea", {
        id: "composer-text",
        rows: "1",
        value: text,
        placeholder: `Message ${name}`,
        role: "combobox",
        "aria-label": `Message ${name}`,
        ...combobox,
        // Not where the focus would open a keyboard over half the screen.
        mounted: (node) => matchMedia("(min-width: 721px)").matches && node.focus(),
        oninput: (event) =>
          draft.set({ text: event.target.value, problem: null, active: 0, listOpen: true, focused: "" }),
      }),
    ),
  );
}

function trayItem(file, preview, remove) {
  return h(
    "div",
    { class: "tray-item" },
    preview ? h("img", { src: preview, alt: "" }) : icon("file"),
    h("span", null, file.name),
    h("small", null, formatBytes(file.size)),
    h(
      "button",
      { type: "button", class: "icon-button danger", "aria-label": `Remove ${file.name}`, onclick: remove },
      icon("close"),
    ),
  );
}

function pickFiles(event, draft) {
  [...event.target.files].forEach((file) => draft.attach(file));
  event.target.value = "";
}

function commandForm(draft, combobox) {
  const { command, shown } = draft.get();
  const left = draft.rest().length;
  const more = () => draft.set({ focused: "+", active: firstActive("+"), listOpen: true });
  return h(
    "div",
    { key: "command", class: "command-form", role: "group", "aria-label": `/${command.name}` },
    h(
      "span",
      { class: "command-pill" },
      `/${command.name}`,
      h("button", { type: "button", "aria-label": "Leave this command", onclick: draft.clear }, icon("close")),
    ),
    shown.map((name) => chip(draft, name, combobox)),
    left > 0 &&
      h(
        "button",
        {
          id: "more-options",
          type: "button",
          class: "more-options",
          ...(draft.get().focused === "+" ? combobox : {}),
          onfocus: () => draft.get().focused !== "+" && more(),
          onclick: more,
        },
        `+${left} optional`,
      ),
  );
}

function chip(draft, name, combobox) {
  const { entries, focused, problem } = draft.get();
  const option = draft.option(name);
  const wrong = problem?.option === name;
  const here = () => {
    if (draft.get().focused === name) return;
    draft.set({ focused: name, active: 0, listOpen: true });
    if (option.autocomplete && !entries[name]?.chosen) draft.ask(name);
  };
  const props = {
    id: `option-${name}`,
    "aria-label": `${name}${option.required ? ", required" : ""}`,
    "aria-invalid": wrong ? "true" : null,
    onfocus: here,
    // A chip that the draft already points at was focused before it was drawn.
    mounted: option.autocomplete ? () => draft.ask(name) : null,
  };
  return h(
    "span",
    {
      key: `chip ${name}`,
      class: `chip${wrong ? " wrong" : ""}${focused === name ? " focused" : ""}`,
      onclick: () => document.getElementById(`option-${name}`)?.focus(),
    },
    h("span", { class: "chip-name" }, name),
    option.type === OPTION.attachment
      ? fileChip(draft, name, props)
      : textChip(draft, name, props, focused === name ? combobox : {}),
  );
}

function textChip(draft, name, props, combobox) {
  const typed = (event) => draft.enter(name, { text: event.target.value.replace(/\s*\n\s*/g, " ") });
  return h("textarea", {
    ...props,
    rows: "1",
    role: "combobox",
    "aria-expanded": "false",
    ...combobox,
    value: draft.get().entries[name]?.text ?? "",
    spellcheck: "false",
    oninput: typed,
  });
}

function fileChip(draft, name, props) {
  const { file, preview } = draft.get().entries[name] ?? {};
  const take = (event) => {
    const [picked] = event.target.files;
    if (picked)
      draft.enter(name, {
        text: picked.name,
        file: picked,
        preview: picked.type.startsWith("image/") ? URL.createObjectURL(picked) : undefined,
      });
  };
  const browse = (event) => event.currentTarget.parentNode.querySelector("input").click();
  return h(
    "span",
    { class: "file-chip" },
    preview && h("img", { src: preview, alt: "" }),
    h(
      "button",
      {
        ...props,
        type: "button",
        "aria-label": `${props["aria-label"]}: ${file ? file.name : "choose a file"}`,
        onclick: browse,
      },
      file ? `${file.name} (${formatBytes(file.size)})` : "Choose, paste or drop a file",
    ),
    h("input", {
      type: "file",
      class: "unseen",
      tabindex: "-1",
      "aria-hidden": "true",
      "data-option": name,
      onchange: take,
    }),
  );
}
