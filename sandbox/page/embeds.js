/** Embeds: the framed cards under a message. */

import { localUrl } from "./api.js";
import { h } from "./dom.js";
import { pictureGrid, pictureOfMedia } from "./media.js";
import { prose } from "./prose.js";
import { messageTime } from "./timestamps.js";

/**
 * @param {any} embed
 * @param {any} message
 * @param {import("./message.js").Context} context
 */
export function embedView(embed, message, context) {
  const { names, actions } = context;
  const pictureOf = (media) => pictureOfMedia({ media, description: embed.title }, message.attachments);
  const thumbnail = embed.thumbnail && pictureOf(embed.thumbnail);
  return h(
    "article",
    { class: "embed", style: { "--edge": colour(embed.color) } },
    h(
      "div",
      { class: "embed-words" },
      embed.author &&
        h("div", { class: "embed-author" }, image(embed.author.icon_url), linked(embed.author.name, embed.author.url)),
      embed.title && h("div", { class: "embed-title" }, linked(embed.title, embed.url)),
      embed.description && prose(embed.description, names, "embed-description"),
      embed.fields?.length > 0 &&
        h(
          "div",
          { class: "embed-fields" },
          embed.fields.map((field) => fieldView(field, names)),
        ),
    ),
    thumbnail && h("div", { class: "embed-thumbnail" }, pictureGrid([thumbnail], actions.openLightbox)),
    embed.image && h("div", { class: "embed-image" }, pictureGrid([pictureOf(embed.image)], actions.openLightbox)),
    (embed.footer || embed.timestamp) &&
      h(
        "div",
        { class: "embed-footer" },
        image(embed.footer?.icon_url),
        [embed.footer?.text, embed.timestamp && messageTime(embed.timestamp)].filter(Boolean).join("  •  "),
      ),
  );
}

/** @param {number|null|undefined} value 0xRRGGBB */
export function colour(value) {
  return value || value === 0 ? `#${value.toString(16).padStart(6, "0")}` : "var(--line-strong)";
}

function fieldView(field, names) {
  return h(
    "div",
    { class: field.inline ? "embed-field inline" : "embed-field" },
    h("div", { class: "embed-field-name" }, field.name),
    prose(field.value, names, "embed-field-value"),
  );
}

function linked(words, url) {
  const safe = url && /^https?:\/\//i.test(url);
  return safe ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, words) : words;
}

function image(url) {
  const src = localUrl(url);
  return src && h("img", { class: "embed-icon", src, alt: "" });
}
