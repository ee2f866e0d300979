/** Reads the part of Discord's markdown that messages use, into a tree of plain objects. Draws nothing. */

/**
 * @typedef {{type: string, text?: string, children?: Block[], [more: string]: any}} Block
 */

/** Inline rules, tried in this order at each place. `wraps` names the node that the first group's text becomes. */
const INLINE = [
  { pattern: /\\([^\p{L}\p{N}\s])/uy, make: (m) => text(m[1]) },
  { pattern: /(`{1,2})([^]*?[^`])\1(?!`)/y, make: (m) => ({ type: "code", text: m[2].trim() }) },
  {
    pattern: /<t:(-?\d{1,13})(?::([tTdDfFR]))?>/y,
    make: (m) => ({ type: "time", unix: Number(m[1]), style: m[2] ?? "f" }),
  },
  { pattern: /<@!?(\d{1,20})>/y, make: (m) => ({ type: "user", id: m[1] }) },
  { pattern: /<@&(\d{1,20})>/y, make: (m) => ({ type: "role", id: m[1] }) },
  { pattern: /<#(\d{1,20})>/y, make: (m) => ({ type: "channel", id: m[1] }) },
  { pattern: /<\/([^:<>\n]{1,100}):(\d{1,20})>/y, make: (m) => ({ type: "command", name: m[1] }) },
  { pattern: /<a?(:\w{2,32}:)\d{1,20}>/y, make: (m) => text(m[1]) },
  {
    pattern: /\[((?:\\.|[^\]\\\n])+)\]\(<?(https?:\/\/[^\s<>)]+)>?(?:\s+"[^"\n]*")?\)/y,
    make: (m) => ({ type: "link", url: m[2], children: readInline(m[1], true) }),
  },
  {
    pattern: /<(https?:\/\/[^\s<>]+)>/y,
    make: (m) => ({ type: "link", url: m[1], children: [text(m[1])] }),
    links: true,
  },
  {
    pattern: /https?:\/\/[^\s<>]*[^\s<>.,:;"')\]*_~|]/y,
    make: (m) => ({ type: "link", url: m[0], children: [text(m[0])] }),
    links: true,
  },
  { pattern: /\|\|([^]+?)\|\|/y, wraps: "spoiler" },
  {
    pattern: /\*\*\*(?!\*)([^]+?)\*\*\*(?!\*)/y,
    make: (m) => ({ type: "strong", children: [{ type: "em", children: readInline(m[1]) }] }),
  },
  { pattern: /\*\*(?!\*)([^]+?)\*\*(?!\*)/y, wraps: "strong" },
  { pattern: /__([^]+?)__(?!_)/y, wraps: "u" },
  { pattern: /~~([^]+?)~~/y, wraps: "s" },
  { pattern: /\*(?=[^\s*])((?:\*\*[^*]+\*\*|[^*])+?)\*(?!\*)/y, wraps: "em" },
  { pattern: /(?<![\p{L}\p{N}])_(?=[^\s_])((?:__[^_]+__|[^_])+?)_(?![\p{L}\p{N}])/uy, wraps: "em" },
];

const text = (value) => ({ type: "text", text: value });

/**
 * @param {string} source
 * @param {boolean} [insideLink] links do not nest
 * @returns {Block[]}
 */
export function readInline(source, insideLink = false) {
  const out = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push(text(plain));
    plain = "";
  };
  for (let at = 0; at < source.length;) {
    let hit = null;
    for (const rule of "\\`<[h|*_~".includes(source[at]) ? INLINE : []) {
      if (insideLink && rule.links) continue;
      rule.pattern.lastIndex = at;
      const match = rule.pattern.exec(source);
      if (match) {
        hit = {
          match,
          node: rule.wraps ? { type: rule.wraps, children: readInline(match[1], insideLink) } : rule.make(match),
        };
        break;
      }
    }
    if (hit) {
      flush();
      out.push(hit.node);
      at += hit.match[0].length;
    } else {
      plain += source[at];
      at += 1;
    }
  }
  flush();
  return out;
}

/**
 * @param {string} source
 * @returns {Block[]} paragraphs, headings, quotes, lists and code blocks
 */
export function readMarkdown(source) {
  const blocks = [];
  // Fences first: nothing inside one means anything.
  const fence = /```(?:([\w+#.-]{1,24})\n)?\n?([^]*?)\n?```/g;
  let from = 0;
  for (const match of source.matchAll(fence)) {
    if (!match[2]) continue;
    blocks.push(...readLines(source.slice(from, match.index).replace(/\n$/, "")));
    blocks.push({ type: "codeblock", language: match[1] ?? "", text: match[2] });
    from = match.index + match[0].length;
    if (source[from] === "\n") from += 1;
  }
  blocks.push(...readLines(source.slice(from)));
  return blocks;
}

function readLines(source) {
  if (source === "") return [];
  const lines = source.split("\n");
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    let match;
    if ((match = /^(#{1,3}) +(\S.*)$/.exec(line))) {
      blocks.push({ type: `h${match[1].length}`, children: readInline(match[2]) });
      at += 1;
    } else if ((match = /^-# +(\S.*)$/.exec(line))) {
      blocks.push({ type: "subtext", children: readInline(match[1]) });
      at += 1;
    } else if (line.startsWith(">>> ")) {
      blocks.push({ type: "quote", children: readLines([line.slice(4), ...lines.slice(at + 1)].join("\n")) });
      at = lines.length;
    } else if (/^> /.test(line)) {
      const end = endOf(lines, at, (next) => /^>( |$)/.test(next));
      blocks.push({
        type: "quote",
        children: readLines(
          lines
            .slice(at, end)
            .map((quoted) => quoted.slice(2))
            .join("\n"),
        ),
      });
      at = end;
    } else if (LIST_ITEM.test(line)) {
      const end = endOf(lines, at, (next) => LIST_ITEM.test(next));
      blocks.push(...readLists(lines.slice(at, end)));
      at = end;
    } else {
      const end = endOf(lines, at + 1, (next) => !STARTS_BLOCK.test(next));
      blocks.push({ type: "paragraph", children: readInline(lines.slice(at, end).join("\n")) });
      at = end;
    }
  }
  return blocks;
}

const LIST_ITEM = /^( *)([-*]|\d{1,9}\.) +(\S.*)$/;
const STARTS_BLOCK = /^(#{1,3} +\S|-# +\S|>>> |> | *([-*]|\d{1,9}\.) +\S)/;

function endOf(lines, from, belongs) {
  let end = from;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

/** Lines of one list, deeper ones as lists inside the item above them. */
function readLists(lines) {
  const lists = [];
  for (let at = 0; at < lines.length;) {
    const [, indent, marker, content] = LIST_ITEM.exec(lines[at]);
    const end = endOf(lines, at + 1, (next) => LIST_ITEM.exec(next)[1].length > indent.length);
    const item = { type: "item", children: [...readInline(content), ...readLists(lines.slice(at + 1, end))] };
    const ordered = /\d/.test(marker);
    if (lists.at(-1)?.ordered === ordered) lists.at(-1).children.push(item);
    else lists.push({ type: "list", ordered, start: ordered ? Number.parseInt(marker, 10) : 1, children: [item] });
    at = end;
  }
  return lists;
}
