/** Message components, of both versions: rows of buttons and selects, and the layout parts of Components V2. */

import { h } from "./dom.js";
import { colour } from "./embeds.js";
import { icon } from "./icons.js";
import { fileCard, pictureGrid, pictureOfMedia } from "./media.js";
import { prose, spoilerCover } from "./prose.js";
import { emoji, selectView } from "./select.js";
import { channelsHere, componentKey, peopleHere } from "./state.js";

const BUTTON_STYLES = { 1: "primary", 2: "secondary", 3: "success", 4: "danger", 5: "link", 6: "secondary" };

/**
 * @param {any} component
 * @param {any} message
 * @param {import("./message.js").Context} context
 * @returns {import("./dom.js").VNode|null}
 */
export function componentView(component, message, context) {
  const children = (list) => list.map((child) => componentView(child, message, context));
  switch (component.type) {
    case 1:
      return rowView(component, message, context);
    case 2:
      return buttonView(component, message, context);
    case 3:
    case 5:
    case 6:
    case 7:
    case 8:
      return messageSelect(component, message, context);
    case 9:
      return h(
        "div",
        { class: "section" },
        h("div", { class: "section-words" }, children(component.components)),
        component.accessory &&
          h("div", { class: "section-accessory" }, componentView(component.accessory, message, context)),
      );
    case 10:
      return prose(component.content, context.names, "text-display");
    case 11:
      return h(
        "div",
        { class: "thumbnail" },
        pictureGrid([pictureOfMedia(component, message.attachments)], context.actions.openLightbox),
      );
    case 12:
      return pictureGrid(
        component.items.map((item) => pictureOfMedia(item, message.attachments)),
        context.actions.openLightbox,
      );
    case 13: {
      const { name, size } = pictureOfMedia({ media: component.file }, message.attachments);
      return h(
        "div",
        { class: "covered" },
        fileCard({ name: component.name ?? name, size: component.size ?? size, url: component.file.url }),
        component.spoiler && spoilerCover(name),
      );
    }
    case 14:
      return h("hr", {
        class: `separator${component.divider === false ? " invisible" : ""}${component.spacing === 2 ? " large" : ""}`,
      });
    case 17:
      return h(
        "div",
        {
          class: `container${component.accent_color || component.accent_color === 0 ? " accented" : ""}`,
          style: { "--edge": colour(component.accent_color) },
        },
        children(component.components),
        component.spoiler && spoilerCover("this card"),
      );
    default:
      return null;
  }
}

/** A row, and beneath it why what was pressed in it did not work. */
function rowView(row, message, context) {
  const failures = row.components
    .map((component) => context.used[componentKey(message.id, component.custom_id)])
    .filter((outcome) => outcome && outcome !== "busy");
  return h(
    "div",
    { class: "row-and-fate" },
    h(
      "div",
      { class: "action-row" },
      row.components.map((component) => componentView(component, message, context)),
    ),
    failures.map((reason) => h("p", { class: "failure", role: "alert" }, icon("alert"), reason)),
  );
}

function buttonView(button, message, context) {
  const face = [emoji(button.emoji), button.label && h("span", { class: "button-label" }, button.label)];
  const className = `button ${BUTTON_STYLES[button.style] ?? "secondary"}`;
  if (button.style === 5) {
    const href = /^https?:\/\//i.test(button.url ?? "") ? button.url : null;
    return h(
      "a",
      {
        class: className,
        href,
        target: "_blank",
        rel: "noopener noreferrer",
        "aria-label": button.label ? null : button.emoji?.name,
        "aria-disabled": button.disabled ? "true" : null,
      },
      face,
      icon("external"),
    );
  }
  const busy = context.used[componentKey(message.id, button.custom_id)] === "busy";
  return h(
    "button",
    {
      key: button.custom_id,
      type: "button",
      class: `${className}${busy ? " busy" : ""}`,
      "aria-label": button.label || button.emoji?.name,
      "aria-busy": busy ? "true" : null,
      "data-custom-id": button.custom_id,
      disabled: button.disabled,
      onclick: () => context.actions.use(message, button.custom_id),
    },
    face,
    busy && h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
  );
}

function messageSelect(component, message, context) {
  const key = componentKey(message.id, component.custom_id);
  const options = selectOptions(component, context);
  const spec = {
    owner: key,
    label: component.placeholder || "Select",
    options,
    chosen: context.picks[key] ?? defaultValues(component),
    min: component.min_values ?? 1,
    max: component.max_values ?? 1,
    placeholder: component.placeholder,
    disabled: component.disabled,
    busy: context.used[key] === "busy",
    choose: (values) => context.actions.use(message, component.custom_id, values),
  };
  return selectView(spec, context.select?.owner === key ? context.select : null, context.actions);
}

/**
 * @param {any} component a select of any kind
 * @param {{members: any[], bot: any, channels: any[], guild: any}} context
 */
export function selectOptions(component, context) {
  const people = () => [...peopleHere(context), context.bot].map(({ id, name }) => ({ label: name, value: id }));
  switch (component.type) {
    case 3:
      return component.options;
    case 8:
      return channelsHere(context, component.channel_types).map(({ id, name }) => ({ label: `#${name}`, value: id }));
    case 6:
      return [];
    default:
      return people();
  }
}

/** @returns {string[]} what a select says is chosen at the start */
export function defaultValues(component) {
  if (component.default_values) return component.default_values.map(({ id }) => id);
  return (component.options ?? []).filter((option) => option.default).map(({ value }) => value);
}
