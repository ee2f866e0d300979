/**
 * Turns a description of the page into the page, and later descriptions into the fewest changes.
 *
 * Views return plain nodes made by `h`; `mount` compares them with what it made last time. Pictures, focus, scroll
 * places and half-typed words therefore survive a live edit of the message around them. Text only ever becomes a text
 * node: nothing in this page parses HTML, so nothing a bot or member writes can become markup.
 */

/**
 * @typedef {object} VNode
 * @property {string} [tag] the element's name; absent for text and memos
 * @property {string} [text]
 * @property {string|number|null} [key] tells siblings of one tag apart across renders
 * @property {Record<string, any>} [props]
 * @property {VNode[]} [children]
 * @property {(...args: any[]) => VNode} [view] of a memo
 * @property {any[]} [args] of a memo
 * @property {VNode} [rendered] of a memo
 * @property {Node} [node]
 */

const SVG = "http://www.w3.org/2000/svg";

/** These live on the element, not in its attributes, once the user has touched them. */
const PROPERTIES = new Set(["value", "checked", "indeterminate", "scrollTop"]);

/**
 * Describes an element. `mounted(node)` runs after it is in the document; `removed(node)` after it has left.
 * @param {string} tag
 * @param {Record<string, any>|null} [props]
 * @param {...any} children nodes, strings, numbers or nested lists; null, undefined and booleans are left out
 * @returns {VNode}
 */
export function h(tag, props, ...children) {
  const { key = null, ...rest } = props ?? {};
  return { tag, key, props: rest, children: nodes(children) };
}

/**
 * Describes `view(...args)`, which is not called again until one of `args` is a different value.
 * @param {string|number|null} key
 * @param {(...args: any[]) => VNode} view
 * @param {...any} args
 * @returns {VNode}
 */
export function memo(key, view, ...args) {
  return { key, view, args };
}

/**
 * Keeps `root`'s content equal to the last description given to the returned function.
 * @param {Element} root
 * @returns {(children: any) => void}
 */
export function mount(root) {
  /** @type {VNode[]} */
  let current = [];
  let waiting = null;
  let busy = false;
  return (children) => {
    waiting = nodes([children]);
    // Moving the focus while drawing can lead back here: what is asked for then is drawn next.
    if (busy) return;
    busy = true;
    try {
      while (waiting) {
        const next = waiting;
        waiting = null;
        reconcile(root, current, next);
        current = next;
      }
    } finally {
      busy = false;
    }
  };
}

/** @returns {VNode[]} */
function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && typeof child !== "boolean" && child !== "")
    .map((child) => (typeof child === "object" ? child : { text: String(child) }));
}

function create(vnode, parent) {
  if (vnode.view) {
    vnode.rendered = vnode.view(...vnode.args);
    vnode.node = create(vnode.rendered, parent);
  } else if (vnode.tag === undefined) {
    vnode.node = document.createTextNode(vnode.text);
  } else {
    const inSvg = vnode.tag === "svg" || parent.namespaceURI === SVG;
    const element = inSvg ? document.createElementNS(SVG, vnode.tag) : document.createElement(vnode.tag);
    vnode.node = element;
    // Children first: a <select>'s value can only be set once its options exist.
    reconcile(element, [], vnode.children);
    for (const [name, value] of Object.entries(vnode.props)) setProp(element, name, value, undefined);
    // After the whole tree is attached, so that a hook can focus or measure.
    if (vnode.props.mounted) queueMicrotask(() => element.isConnected && vnode.props.mounted(element));
  }
  return vnode.node;
}

function update(old, next) {
  if (next.view) {
    const unchanged = old.args.length === next.args.length && old.args.every((arg, i) => arg === next.args[i]);
    next.rendered = unchanged ? old.rendered : next.view(...next.args);
    if (!unchanged) {
      if (alike(old.rendered, next.rendered)) {
        update(old.rendered, next.rendered);
      } else {
        const parent = old.node.parentNode;
        parent.replaceChild(create(next.rendered, parent), old.node);
        removed(old.rendered);
      }
    }
    next.node = next.rendered.node;
    return;
  }
  next.node = old.node;
  if (next.tag === undefined) {
    if (next.text !== old.text) next.node.data = next.text;
    return;
  }
  for (const name of Object.keys(old.props)) {
    if (!(name in next.props)) setProp(next.node, name, undefined, old.props[name]);
  }
  reconcile(next.node, old.children, next.children);
  for (const [name, value] of Object.entries(next.props)) {
    if (value !== old.props[name] || PROPERTIES.has(name)) setProp(next.node, name, value, old.props[name]);
  }
}

function alike(old, next) {
  return old.tag === next.tag && old.view === next.view && old.key === next.key;
}

function reconcile(parent, olds, nexts) {
  const keyed = new Map();
  const loose = [];
  for (const old of olds) {
    if (old.key === null || old.key === undefined) loose.push(old);
    else keyed.set(old.key, old);
  }
  const kept = new Set();
  let from = 0;
  for (const next of nexts) {
    let match;
    if (next.key !== null && next.key !== undefined) {
      match = keyed.get(next.key);
      if (match && (!alike(match, next) || kept.has(match))) match = undefined;
    } else {
      const at = loose.findIndex((old, index) => index >= from && alike(old, next));
      if (at >= 0) {
        match = loose[at];
        from = at + 1;
      }
    }
    if (match) {
      kept.add(match);
      update(match, next);
    } else {
      create(next, parent);
    }
  }
  for (const old of olds) {
    if (kept.has(old)) continue;
    parent.removeChild(old.node);
    removed(old);
  }
  let cursor = parent.firstChild;
  for (const next of nexts) {
    if (next.node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(next.node, cursor);
  }
}

function removed(vnode) {
  if (vnode.view) return removed(vnode.rendered);
  vnode.children?.forEach(removed);
  vnode.props?.removed?.(vnode.node);
}

function setProp(element, name, value, old) {
  if (name === "mounted" || name === "removed") return;
  if (name.startsWith("on")) {
    element[name] = value ?? null;
  } else if (PROPERTIES.has(name)) {
    if (element[name] !== value) element[name] = value ?? "";
  } else if (name === "style") {
    for (const property of Object.keys(old ?? {}))
      if (!(property in (value ?? {}))) element.style.removeProperty(property);
    for (const [property, text] of Object.entries(value ?? {})) element.style.setProperty(property, text);
  } else if (value === undefined || value === null || value === false) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}
