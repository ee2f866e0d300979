/** Forms that the bot opens. What is typed stays in the form's own draft until it is sent. */

import { h } from "./dom.js";
import { layer } from "./focus.js";
import { icon, logo } from "./icons.js";
import { fieldView, fieldsOf, problemWith, startValue } from "./fields.js";
import { prose } from "./prose.js";

/**
 * Makes the view of the open form. Its draft lives here, beside the state, so that typing does not redraw the page.
 * @param {any} actions
 * @param {() => void} redraw
 */
export function createModal(actions, redraw) {
  let openFor = null;
  let values = {};
  let errors = {};

  function submit(fields) {
    errors = {};
    for (const field of fields) {
      const problem = problemWith(field, values[field.id]);
      if (problem) errors[field.id] = problem;
    }
    const [wrong] = Object.keys(errors);
    redraw();
    if (wrong) {
      document.getElementById(fields.find(({ id }) => id === wrong).domId)?.focus();
      return;
    }
    const files = fields
      .filter(({ component }) => component.type === 19)
      .flatMap(({ id }) => values[id].map((file) => [id, file]));
    const plain = Object.fromEntries(
      fields.filter(({ component }) => component.type !== 19).map(({ id }) => [id, values[id]]),
    );
    actions.submitModal(plain, files);
  }

  return function modalView(state, context) {
    const { interaction, modal, sent, error } = state.modal;
    const fields = fieldsOf(modal.components);
    if (openFor !== interaction) {
      openFor = interaction;
      values = Object.fromEntries(fields.map((field) => [field.id, startValue(field.component)]));
      errors = {};
    }
    const busy = sent !== null && error === null;
    const set = (id, value) => {
      values = { ...values, [id]: value };
      const { [id]: _mended, ...others } = errors;
      errors = others;
      redraw();
    };
    const onsubmit = (event) => {
      event.preventDefault();
      if (!busy) submit(fields);
    };
    const close = () => !busy && actions.closeModal();
    return h(
      "div",
      { key: `modal ${interaction}`, class: "modal-layer" },
      h("div", { class: "backdrop" }),
      h(
        "form",
        {
          class: "modal",
          role: "dialog",
          "aria-modal": "true",
          "aria-labelledby": "modal-title",
          novalidate: true,
          onsubmit,
          ...layer(close, ".field input, .field textarea, .field button"),
        },
        h(
          "header",
          { class: "modal-header" },
          h("span", { class: "modal-mark" }, logo()),
          h("h2", { id: "modal-title" }, modal.title),
          h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: close }, icon("close")),
        ),
        h(
          "div",
          { class: "modal-fields" },
          modal.components.map((component, index) =>
            component.type === 10
              ? prose(component.content, context.names, "modal-text")
              : fields
                  .filter((field) => field.row === index)
                  .map((field) => fieldView(field, values[field.id], errors[field.id], set, context)),
          ),
        ),
        error && h("p", { class: "failure", role: "alert" }, icon("alert"), error),
        h(
          "footer",
          { class: "modal-footer" },
          h("button", { type: "button", class: "button secondary", onclick: close }, "Cancel"),
          h(
            "button",
            { type: "submit", class: `button primary${busy ? " busy" : ""}`, "aria-busy": busy ? "true" : null },
            h("span", { class: "button-label" }, "Submit"),
            busy && h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
          ),
        ),
      ),
    );
  };
}
