/** A picture in full size over the page. */

import { h } from "./dom.js";
import { layer } from "./focus.js";
import { icon } from "./icons.js";
import { formatBytes } from "./media.js";

/**
 * @param {{pictures: import("./media.js").Picture[], index: number}} lightbox
 * @param {any} actions
 */
export function lightboxView({ pictures, index }, actions) {
  const picture = pictures[index];
  const several = pictures.length > 1;
  const { onkeydown: keepFocus, ...hooks } = layer(actions.closeLightbox, ".lightbox-close");
  const onkeydown = (event) => {
    const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (turn && several) actions.turn(turn);
    keepFocus(event);
  };
  const shape = picture.width ? `${picture.width} × ${picture.height}` : "";
  const arrow = (by, name, label) =>
    several &&
    h(
      "button",
      { type: "button", class: `lightbox-turn ${name}`, "aria-label": label, onclick: () => actions.turn(by) },
      icon(name === "previous" ? "left" : "chevron"),
    );
  return h(
    "div",
    {
      key: "lightbox",
      class: "lightbox",
      role: "dialog",
      "aria-modal": "true",
      "aria-label": picture.alt,
      ...hooks,
      onkeydown,
    },
    h("div", { class: "backdrop", onclick: actions.closeLightbox }),
    h(
      "header",
      { class: "lightbox-bar" },
      h(
        "div",
        { class: "lightbox-words" },
        h("b", null, picture.name),
        h(
          "span",
          null,
          [shape, formatBytes(picture.size), several && `${index + 1} of ${pictures.length}`]
            .filter(Boolean)
            .join(" · "),
        ),
      ),
      h(
        "a",
        {
          class: "icon-button",
          href: picture.src,
          target: "_blank",
          rel: "noopener",
          "aria-label": "Open original",
          title: "Open original",
        },
        icon("external"),
      ),
      h(
        "a",
        {
          class: "icon-button",
          href: picture.src,
          download: picture.name,
          "aria-label": "Download",
          title: "Download",
        },
        icon("download"),
      ),
      h(
        "button",
        {
          type: "button",
          class: "icon-button lightbox-close",
          "aria-label": "Close",
          title: "Close",
          onclick: actions.closeLightbox,
        },
        icon("close"),
      ),
    ),
    arrow(-1, "previous", "Previous picture"),
    h("img", {
      key: picture.src,
      class: "lightbox-picture",
      src: picture.src,
      alt: picture.alt,
      style: enlarged(picture),
    }),
    arrow(1, "next", "Next picture"),
  );
}

/** Small pictures grow to fill a good part of the screen; large ones shrink to fit it (the style sheet's limits). */
function enlarged({ width, height }) {
  if (!width || !height) return {};
  const factor = Math.max(1, Math.min(768 / width, 768 / height));
  return { width: `${Math.round(width * factor)}px`, "aspect-ratio": `${width} / ${height}` };
}
