// How things are written: elements, lists that keep what stays, and numbers as people read them.
// Every word that comes from elsewhere becomes text, never markup.

/** Between a number and its unit, where no line ends. */
const GAP = "\u00a0";

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Let a list show these things: what it shows already stays and is brought up to date, so that nothing flickers. */
export function show(list, things, keyOf, make, update) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const thing of things) {
    const key = String(keyOf(thing));
    let child = known.get(key);
    if (child === undefined) {
      child = make(thing);
      child.dataset.key = key;
    }
    known.delete(key);
    const next = before === null ? list.firstElementChild : before.nextElementSibling;
    if (child !== next) list.insertBefore(child, next);
    update(child, thing);
    before = child;
  }
  for (const gone of known.values()) gone.remove();
}

export function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

export function mark(place, state) {
  if (state) place.dataset.state = state;
  else delete place.dataset.state;
}

/** "8 s", "3 min", "2 h 5 min", "4 d". */
export function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}${GAP}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}${GAP}min`;
  if (whole < 86400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return `${Math.floor(whole / 3600)}${GAP}h${minutes ? ` ${minutes}${GAP}min` : ""}`;
  }
  const hours = Math.floor((whole % 86400) / 3600);
  return `${Math.floor(whole / 86400)}${GAP}d${hours && whole < 10 * 86400 ? ` ${hours}${GAP}h` : ""}`;
}

/** What was measured, from parts of a second on. */
export function taking(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)}${GAP}s`;
  const whole = Math.round(seconds);
  return whole >= 60 && whole < 600 && whole % 60 ? `${Math.floor(whole / 60)}${GAP}min ${whole % 60}${GAP}s` : lasting(whole);
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let left = bytes;
  let unit = 0;
  while (left >= 999.5 && unit < units.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit === 0 || left >= 99.5 ? Math.round(left) : left.toFixed(1)}${GAP}${units[unit]}`;
}

export function percent(share) {
  const hundredths = share * 100;
  return `${hundredths > 0 && hundredths < 10 ? hundredths.toFixed(1) : Math.round(hundredths)}${GAP}%`;
}

export function many(count, one, more) {
  return `${count} ${count === 1 ? one : more}`;
}
