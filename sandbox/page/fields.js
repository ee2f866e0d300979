/** The fields of a form: how each looks, what it starts with, and what is wrong with what was entered. */

import { defaultValues, selectOptions } from "./components.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { formatBytes } from "./media.js";
import { selectView } from "./select.js";

/**
 * @typedef {object} Field
 * @property {string} id the component's custom_id
 * @property {string} domId
 * @property {number} row which of the form's components it stands in
 * @property {string} label
 * @property {string|undefined} description
 * @property {any} component
 */

/**
 * Finds the fields in a form's components: action rows of old, labels of new.
 * @param {any[]} components
 * @returns {Field[]}
 */
export function fieldsOf(components) {
  return components.flatMap((outer, row) => {
    if (outer.type === 18) return [field(outer.component, row, outer.label, outer.description)];
    if (outer.type === 1)
      return outer.components.map((component) => field(component, row, component.label ?? component.placeholder));
    return [];
  });
}

function field(component, row, label, description) {
  return { id: component.custom_id, domId: `field-${component.custom_id}`, row, label, description, component };
}

/** What a field holds before anything is entered. */
export function startValue(component) {
  switch (component.type) {
    case 4:
      return component.value ?? "";
    case 19:
      return [];
    case 21:
      return defaultValues(component)[0] ?? null;
    case 23:
      return Boolean(component.default);
    default:
      return defaultValues(component);
  }
}

/**
 * @param {Field} field
 * @param {any} value
 * @returns {string|null} what the member should change
 */
export function problemWith({ component }, value) {
  const required = component.required ?? component.type !== 23;
  if (component.type === 23) return required && !value ? "Tick this box to continue." : null;
  const length = value?.length ?? 0;
  if (length === 0) return required ? "This field is required." : null;
  if (component.type === 4) {
    if (length < (component.min_length ?? 0)) return `Must be ${component.min_length} or more in length.`;
    if (length > (component.max_length ?? 4000)) return `Must be ${component.max_length ?? 4000} or fewer in length.`;
    return null;
  }
  if (component.type === 21) return null;
  const [min, max] = [component.min_values ?? 1, component.max_values ?? 1];
  if (length < min) return `Choose at least ${min}.`;
  return length > max && component.type !== 22 ? `Choose at most ${max}.` : null;
}

/**
 * @param {Field} field
 * @param {any} value
 * @param {string|undefined} error
 * @param {(id: string, value: any) => void} set
 * @param {import("./message.js").Context} context
 */
export function fieldView(field, value, error, set, context) {
  const { id, domId, label, description, component } = field;
  const required = component.required ?? component.type !== 23;
  const described =
    [error && `${domId}-error`, description && `${domId}-description`].filter(Boolean).join(" ") || null;
  return h(
    "div",
    { key: id, class: `field${error ? " wrong" : ""}` },
    h(
      "label",
      { for: domId, id: `${domId}-label` },
      label,
      required && h("span", { class: "required", "aria-hidden": "true" }, " *"),
    ),
    description && h("p", { class: "field-description", id: `${domId}-description` }, description),
    control(
      field,
      value,
      {
        id: domId,
        "aria-describedby": described,
        "aria-invalid": error ? "true" : null,
        "aria-required": required ? "true" : null,
      },
      (next) => set(id, next),
      context,
    ),
    error && h("p", { class: "field-error", id: `${domId}-error`, role: "alert" }, error),
  );
}

function control(field, value, props, set, context) {
  const { component } = field;
  switch (component.type) {
    case 4:
      return textInput(component, value, props, set);
    case 19:
      return fileInput(component, value, props, set);
    case 21:
    case 22:
      return choiceGroup(field, value, props, set);
    case 23:
      return h("input", { ...props, type: "checkbox", checked: value, onchange: (event) => set(event.target.checked) });
    default: {
      const spec = {
        owner: props.id,
        label: field.label,
        options: selectOptions(component, context),
        chosen: value,
        min: component.required === false ? 0 : (component.min_values ?? 1),
        max: component.max_values ?? 1,
        placeholder: component.placeholder,
        invalid: Boolean(props["aria-invalid"]),
        choose: set,
      };
      return h(
        "div",
        { id: props.id },
        selectView(spec, context.select?.owner === props.id ? context.select : null, context.actions),
      );
    }
  }
}

function textInput(component, value, props, set) {
  const paragraph = component.style === 2;
  const most = component.max_length ?? 4000;
  const oninput = (event) => set(event.target.value);
  const shared = { ...props, value, placeholder: component.placeholder, oninput, autocomplete: "off" };
  return h(
    "div",
    { class: "text-input" },
    paragraph ? h("textarea", { ...shared, rows: "4" }) : h("input", { ...shared, type: "text" }),
    (component.max_length || value.length > 3800) &&
      h(
        "span",
        { class: value.length > most ? "count over" : "count", "aria-hidden": "true" },
        String(most - value.length),
      ),
  );
}

function fileInput(component, files, props, set) {
  const max = component.max_values ?? 1;
  const onchange = (event) => set([...event.target.files].slice(0, max));
  return h(
    "div",
    { class: "file-input" },
    h("input", { ...props, type: "file", multiple: max > 1, onchange }),
    files.map((file) =>
      h("div", { class: "file-chosen" }, icon("file"), file.name, h("small", null, formatBytes(file.size))),
    ),
  );
}

function choiceGroup({ component }, value, props, set) {
  const single = component.type === 21;
  const toggle = (option, on) => set(single ? option : on ? [...value, option] : value.filter((one) => one !== option));
  return h(
    "div",
    {
      id: props.id,
      class: "choices",
      role: single ? "radiogroup" : "group",
      "aria-labelledby": `${props.id}-label`,
      "aria-describedby": props["aria-describedby"],
    },
    component.options.map((option) =>
      h(
        "label",
        { class: "choice" },
        h("input", {
          type: single ? "radio" : "checkbox",
          name: component.custom_id,
          checked: single ? value === option.value : value.includes(option.value),
          onchange: (event) => toggle(option.value, event.target.checked),
        }),
        h("span", null, option.label, option.description && h("small", null, option.description)),
      ),
    ),
  );
}
