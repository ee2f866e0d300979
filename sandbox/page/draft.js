/** What is in the composer and has not been sent: an ordinary text, or a command with its options. Draws nothing. */

import { ApiError } from "./api.js";
import { OPTION, choicesOf, commandOf, optionsOfText, problemOf, slashCommands, valueOf } from "./command_line.js";
import { commandsHere } from "./state.js";

const ASK_AFTER_MS = 150;

/** Nothing is marked in the list of optional options, so that Enter sends what is there until one is looked for. */
export function firstActive(focused) {
  return focused === "+" ? -1 : 0;
}

/**
 * @param {{get: () => import("./state.js").State}} store
 * @param {any} actions
 * @param {() => void} redraw draws the page, at once
 */
export function createDraft(store, actions, redraw) {
  const empty = () => ({
    text: "",
    files: [],
    command: null,
    shown: [],
    entries: {},
    focused: null,
    active: 0,
    listOpen: true,
    suggestions: null,
    problem: null,
    sending: false,
  });
  let draft = empty();
  let askTimer = 0;
  let asked = 0;

  const set = (change) => {
    draft = { ...draft, ...change };
    redraw();
  };
  const locale = () => store.get().members.find(({ id }) => id === store.get().member)?.locale;
  const commands = () => slashCommands(commandsHere(store.get()), locale());
  const option = (name) => draft.command.options.find((one) => one.name === name);
  const choices = (name) => choicesOf(option(name), store.get(), locale());
  const rest = () => draft.command.options.filter(({ name }) => !draft.shown.includes(name));

  /** Puts the keyboard where the draft says it is; "" is the plain text. */
  function focus(name) {
    set({ focused: name, active: firstActive(name), listOpen: true });
    const target = document.getElementById(
      name === "" || name === null ? "composer-text" : name === "+" ? "more-options" : `option-${name}`,
    );
    target?.focus();
  }

  function choose(command, texts = {}) {
    const shown = command.options.filter(({ name, required }) => required || name in texts).map(({ name }) => name);
    const entries = Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, { text }]));
    const waiting = draft.files;
    set({ command, shown, entries, text: "", files: [], problem: null });
    for (const { file, preview } of waiting) attach(file, preview);
    focus(shown.find((name) => !draft.entries[name]) ?? shown.at(-1) ?? "+");
  }

  function enter(name, entry) {
    set({
      entries: { ...draft.entries, [name]: entry },
      problem: draft.problem?.option === name ? null : draft.problem,
      active: 0,
      listOpen: true,
    });
    if (option(name).autocomplete && !entry.chosen) ask(name);
  }

  /** Asks the bot what could stand there, once the typing pauses; only the last question's answer counts. */
  function ask(name) {
    clearTimeout(askTimer);
    const mine = (asked += 1);
    askTimer = setTimeout(async () => {
      const { command, entries } = draft;
      if (!command || mine !== asked) return;
      const { api } = actions;
      const typed = Object.fromEntries(
        Object.entries(entries)
          .filter(([, entry]) => entry.text)
          .map(([key, entry]) => [key, entry.chosen?.value ?? entry.text]),
      );
      const answer = await api()
        .autocomplete(store.get().channel, command.name, { ...typed, [name]: entries[name]?.text ?? "" }, name)
        .catch(() => ({ choices: [] }));
      if (mine === asked && draft.command === command)
        set({ suggestions: { option: name, items: answer.choices.slice(0, 25) } });
    }, ASK_AFTER_MS);
  }

  /** Gives a file to the command's next free file option, or to the message. */
  function attach(file, preview = file.type.startsWith("image/") ? URL.createObjectURL(file) : undefined) {
    if (!draft.command) return set({ files: [...draft.files, { file, preview }], problem: null });
    const free = draft.command.options.find(
      ({ type, name }) => type === OPTION.attachment && !draft.entries[name]?.file,
    );
    if (!free) return set({ problem: { option: null, message: `/${draft.command.name} takes no more files.` } });
    if (!draft.shown.includes(free.name)) draft = { ...draft, shown: [...draft.shown, free.name] };
    return enter(free.name, { text: file.name, file, preview });
  }

  function removeOption(name) {
    const at = draft.shown.indexOf(name);
    const { [name]: gone, ...entries } = draft.entries;
    if (gone?.preview) URL.revokeObjectURL(gone.preview);
    set({ shown: draft.shown.filter((one) => one !== name), entries, problem: null });
    focus(draft.shown[at - 1] ?? draft.shown[0] ?? "+");
  }

  function clear() {
    for (const { preview } of [...draft.files, ...Object.values(draft.entries)])
      if (preview) URL.revokeObjectURL(preview);
    draft = empty();
    focus("");
  }

  async function send() {
    if (draft.sending) return;
    const work = draft.command ? filled() : typed();
    if (!work) return;
    set({ sending: true, problem: null });
    try {
      await work();
      clear();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      set({ sending: false, problem: { option: null, message: error.message } });
    }
  }

  /** The command of the chips, or null after showing what is wrong with it. */
  function filled() {
    const { command, shown, entries } = draft;
    for (const name of shown) {
      const message = problemOf(option(name), entries[name], choices(name));
      if (message) {
        set({ problem: { option: name, message } });
        focus(name);
        return null;
      }
    }
    const values = Object.fromEntries(
      shown
        .map((name) => [name, valueOf(option(name), entries[name], choices(name))])
        .filter(([, value]) => value !== undefined),
    );
    return () => actions.api().runCommand(store.get().channel, command.name, values);
  }

  function typed() {
    const text = draft.text.trim();
    const files = draft.files.map(({ file }) => file);
    if (!text && !files.length) return null;
    const { channel } = store.get();
    if (!text.startsWith("/")) return () => actions.sendMessage(text, files);
    const takers = commandOf(commands(), text)?.options.filter(({ type }) => type === OPTION.attachment) ?? [];
    if (files.length > takers.length) {
      set({ problem: { option: null, message: "This command does not take that many files." } });
      return null;
    }
    return () =>
      actions.api().runText(
        channel,
        text,
        files.map((file, index) => [takers[index].name, file]),
      );
  }

  return {
    get: () => draft,
    set,
    focus,
    choose,
    enter,
    attach,
    removeOption,
    clear,
    send,
    commands,
    option,
    choices,
    rest,
    ask,
    /** Opens one more optional option. */
    add(name) {
      set({ shown: [...draft.shown, name] });
      focus(name);
    },
    /** Turns a typed command into its form, with what was typed filled in. */
    toForm() {
      const command = commandOf(commands(), draft.text);
      if (command) choose(command, optionsOfText(command, draft.text));
    },
    dropFile(index) {
      if (draft.files[index].preview) URL.revokeObjectURL(draft.files[index].preview);
      set({ files: draft.files.filter((_, at) => at !== index) });
    },
    /** Back from the form to plain text. */
    leave() {
      const { name } = draft.command;
      clear();
      set({ text: `/${name}` });
    },
  };
}
