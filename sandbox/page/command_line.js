/** What can be typed after a slash: the commands, their options, and what is wrong with a value. Draws nothing. */

import { channelsHere, peopleHere } from "./state.js";

export const OPTION = {
  subCommand: 1,
  group: 2,
  string: 3,
  integer: 4,
  boolean: 5,
  user: 6,
  channel: 7,
  role: 8,
  mentionable: 9,
  number: 10,
  attachment: 11,
};
const SLASH = 1;

/**
 * @typedef {object} Entry what has been entered for one option
 * @property {string} text
 * @property {{name: string, value: any}} [chosen] from a list
 * @property {File} [file]
 * @property {string} [preview] object URL of a picture's thumbnail
 */

/**
 * Lists what can be run, sub-commands by their whole names.
 * @param {any[]} commands Discord application commands
 * @param {string|undefined} locale
 * @returns {{name: string, description: string, options: any[]}[]}
 */
export function slashCommands(commands, locale) {
  const leaves = (node, prefix) => {
    const name = prefix ? `${prefix} ${node.name}` : node.name;
    const inner = (node.options ?? []).filter(({ type }) => type === OPTION.subCommand || type === OPTION.group);
    if (inner.length) return inner.flatMap((child) => leaves(child, name));
    return [{ name, description: localized(node, "description", locale), options: node.options ?? [] }];
  };
  return commands.filter(({ type }) => (type ?? SLASH) === SLASH).flatMap((command) => leaves(command, ""));
}

/** The text in the member's own language, where the bot has given one. */
export function localized(thing, name, locale) {
  return thing[`${name}_localizations`]?.[locale] ?? thing[name];
}

/** Those whose name contains what was typed, those that begin with it first. */
export function matchingCommands(commands, typed) {
  const wanted = typed.toLowerCase();
  const starts = ({ name }) => name.startsWith(wanted);
  const found = commands.filter(({ name }) => name.includes(wanted));
  return [...found.filter(starts), ...found.filter((command) => !starts(command))];
}

/**
 * @param {{name: string}[]} commands
 * @param {string} text
 * @returns the command that the text names in full and has gone past, or null
 */
export function commandOf(commands, text) {
  const named = commands.filter(
    ({ name }) => text === `/${name}` || text.startsWith(`/${name} `) || text.startsWith(`/${name}\n`),
  );
  return named.sort((a, b) => b.name.length - a.name.length)[0] ?? null;
}

/**
 * Takes `/imagine prompt: a red house seed:7` apart: each value goes on to the next known `option:`.
 * @returns {Record<string, string>}
 */
export function optionsOfText(command, text) {
  const rest = text.slice(command.name.length + 1);
  const marks = [...rest.matchAll(/(?<=\s)([\p{L}\p{N}_-]+):/gu)].filter((mark) =>
    command.options.some(({ name }) => name === mark[1]),
  );
  return Object.fromEntries(
    marks.map((mark, index) => [
      mark[1],
      rest.slice(mark.index + mark[0].length, marks[index + 1]?.index ?? rest.length).trim(),
    ]),
  );
}

/**
 * What an option may be chosen from, before filtering; null where anything may be typed.
 * @param {any} option
 * @param {{members: any[], bot: any, channels: any[], guild: any}} world
 * @returns {{name: string, value: any}[]|null}
 */
export function choicesOf(option, world, locale) {
  const people = () => [...peopleHere(world), world.bot].map(({ id, name }) => ({ name: `@${name}`, value: id }));
  if (option.choices?.length)
    return option.choices.map((choice) => ({ name: localized(choice, "name", locale), value: choice.value }));
  switch (option.type) {
    case OPTION.boolean:
      return [
        { name: "True", value: true },
        { name: "False", value: false },
      ];
    case OPTION.user:
    case OPTION.mentionable:
      return people();
    case OPTION.channel:
      return channelsHere(world, option.channel_types).map(({ id, name }) => ({ name: `#${name}`, value: id }));
    case OPTION.role:
      return [];
    default:
      return null;
  }
}

/**
 * @param {any} option
 * @param {Entry|undefined} entry
 * @param {{name: string, value: any}[]|null} choices
 * @returns {any} the value to send; undefined where nothing was entered
 */
export function valueOf(option, entry, choices) {
  if (option.type === OPTION.attachment) return entry?.file;
  const text = entry?.text.trim() ?? "";
  if (text === "") return undefined;
  if (entry.chosen) return entry.chosen.value;
  if (choices) return choices.find(({ name, value }) => same(name, text) || same(String(value), text))?.value;
  return isNumeric(option) ? Number(text) : text;
}

/**
 * @returns {string|null} what the member should change, as Discord says it
 */
export function problemOf(option, entry, choices) {
  const value = valueOf(option, entry, choices);
  const entered = entry?.file || (entry?.text.trim() ?? "") !== "";
  if (!entered) return option.required ? "This option is required. Specify a value." : null;
  if (value === undefined)
    return option.choices?.length || option.type === OPTION.boolean
      ? "Choose one of the values in the list."
      : "Nothing of that name is known here.";
  if (entry.chosen || choices) return null;
  if (option.type === OPTION.integer && !Number.isSafeInteger(value)) return "Input a valid whole number.";
  if (option.type === OPTION.number && !Number.isFinite(value)) return "Input a valid number.";
  if (isNumeric(option)) {
    const { min_value: min, max_value: max } = option;
    if (min !== undefined && max !== undefined && (value < min || value > max))
      return `Input a number between ${min} and ${max}.`;
    if (min !== undefined && value < min) return `Input a number that is ${min} or more.`;
    if (max !== undefined && value > max) return `Input a number that is ${max} or less.`;
  } else if (typeof value === "string") {
    if (value.length < (option.min_length ?? 0)) return `Input at least ${option.min_length} characters.`;
    const most = option.max_length ?? 6000;
    if (value.length > most) return `Input at most ${most} characters (now ${value.length}).`;
  }
  return null;
}

function isNumeric({ type }) {
  return type === OPTION.integer || type === OPTION.number;
}

function same(a, b) {
  const plain = (words) => words.replace(/^[@#]/, "").toLowerCase();
  return plain(a) === plain(b);
}
