/** Pictures and files: the grid, single pictures, file cards. */

import { localUrl } from "./api.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { spoilerCover } from "./prose.js";

const WIDEST = 520;
const HIGHEST = 400;
/** Models that paint small pictures paint them to be looked at: those are shown larger than they are. */
const NARROWEST = 256;

/**
 * @typedef {object} Picture
 * @property {string|null} src a path on this server; null where the picture lives elsewhere
 * @property {string} name
 * @property {string} alt
 * @property {number|undefined} width
 * @property {number|undefined} height
 * @property {number|undefined} size bytes
 * @property {boolean} spoiler
 */

/** @returns {boolean} whether an attachment is shown rather than offered for download */
export function isPicture(attachment) {
  return Boolean(
    attachment.content_type?.startsWith("image/") || /\.(png|jpe?g|webp|gif|avif)$/i.test(attachment.filename ?? ""),
  );
}

/** @returns {Picture} */
export function pictureOfAttachment(attachment) {
  return {
    src: localUrl(attachment.url),
    name: attachment.filename,
    alt: attachment.description || attachment.filename,
    width: attachment.width,
    height: attachment.height,
    size: attachment.size,
    spoiler: attachment.filename?.startsWith("SPOILER_") ?? false,
  };
}

/**
 * @param {any} item `{media, description, spoiler}` of a gallery or thumbnail
 * @param {any[]} attachments of the message: they know the file's size
 * @returns {Picture}
 */
export function pictureOfMedia({ media, description, spoiler }, attachments) {
  const src = localUrl(media.url);
  const path = src?.split("?")[0];
  const attachment = attachments.find((one) => localUrl(one.url)?.split("?")[0] === path);
  const name = attachment?.filename ?? decodeURIComponent(path?.split("/").at(-1) ?? "picture");
  return {
    src,
    name,
    alt: description || attachment?.description || name,
    width: media.width ?? attachment?.width,
    height: media.height ?? attachment?.height,
    size: attachment?.size,
    spoiler: Boolean(spoiler),
  };
}

/**
 * One picture at its own shape, several as a grid of equal cells.
 * @param {Picture[]} pictures
 * @param {(pictures: Picture[], index: number) => void} open shows one in full
 */
export function pictureGrid(pictures, open) {
  if (!pictures.length) return null;
  if (pictures.length === 1)
    return h("div", { key: "pictures", class: "pictures single" }, tile(pictures, 0, open, fitted(pictures[0])));
  const [first] = pictures;
  const alike = pictures.every(({ width, height }) => width && width * first.height === first.width * height);
  const shape = alike ? `${first.width} / ${first.height}` : "1 / 1";
  const columns = pictures.length === 2 || pictures.length === 4 ? 2 : 3;
  return h(
    "div",
    { key: "pictures", class: "pictures grid", style: { "--columns": String(columns) } },
    pictures.map((_, index) => tile(pictures, index, open, { "aspect-ratio": shape })),
  );
}

function tile(pictures, index, open, style) {
  const picture = pictures[index];
  if (!picture.src)
    return h("div", { class: "picture elsewhere", style }, icon("image"), h("span", null, "Not on this server"));
  // The same <img> stays when a preview gives way to the next one: the browser shows the old until it has the new.
  const mark = (broken) => (event) => event.currentTarget.parentNode.classList.toggle("broken", broken);
  return h(
    "div",
    { class: "picture-frame", key: `picture ${index}`, style },
    h(
      "button",
      { class: "picture", type: "button", "aria-label": `Open ${picture.alt}`, onclick: () => open(pictures, index) },
      h("img", { src: picture.src, alt: picture.alt, onload: mark(false), onerror: mark(true), draggable: "false" }),
      h("span", { class: "picture-broken" }, icon("alert"), "This picture could not be loaded"),
    ),
    picture.spoiler && spoilerCover(picture.name),
  );
}

function fitted({ width, height }) {
  if (!width || !height) return { width: `${NARROWEST}px` };
  const scale = Math.min(Math.max(1, NARROWEST / width), WIDEST / width, HIGHEST / height);
  return { width: `${Math.round(width * scale)}px`, "aspect-ratio": `${width} / ${height}` };
}

/** @param {{name: string, size: number|undefined, url: string}} file */
export function fileCard({ name, size, url }) {
  const href = localUrl(url);
  return h(
    "div",
    { class: "file-card" },
    icon("file"),
    h(
      "div",
      { class: "file-words" },
      h("a", { href, download: name, class: "file-name" }, name),
      h("span", null, formatBytes(size)),
    ),
    href && h("a", { href, download: name, class: "icon-button", "aria-label": `Download ${name}` }, icon("download")),
  );
}

/** @param {number|undefined} size */
export function formatBytes(size) {
  if (size === undefined || size === null) return "";
  if (size < 1000) return `${size} bytes`;
  const [unit, divisor] = size < 1_000_000 ? ["kB", 1000] : ["MB", 1_000_000];
  return `${(size / divisor).toFixed(size / divisor < 10 ? 1 : 0)} ${unit}`;
}
