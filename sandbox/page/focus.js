/** Keeps the keyboard inside a layer (form, full-size view, menu) while it is open, and gives it back afterwards. */

const FOCUSABLE =
  "a[href], button:not([disabled]), input:not([disabled]), textarea:not([disabled]), [tabindex='0'], [role='menuitem']";

/**
 * The hooks that make an element such a layer: `h("div", { ...layer(close), … })`.
 * @param {() => void} close what Escape does
 * @param {string} [first] selector of what takes the focus; the first focusable element otherwise
 */
export function layer(close, first = FOCUSABLE) {
  return {
    mounted(node) {
      node.cameFrom = document.activeElement;
      (node.querySelector(first) ?? node.querySelector(FOCUSABLE) ?? node).focus();
    },
    removed(node) {
      // What opened it may be gone by now, or stand disabled: then the composer is where typing goes.
      const back =
        node.cameFrom?.isConnected && node.cameFrom !== document.body
          ? node.cameFrom
          : document.querySelector(".composer textarea");
      back?.focus({ preventScroll: true });
    },
    onkeydown(event) {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      }
      if (event.key !== "Tab") return;
      const stops = [...event.currentTarget.querySelectorAll(FOCUSABLE)].filter((node) => node.offsetParent !== null);
      const [first, last] = [stops[0], stops.at(-1)];
      if (event.shiftKey && document.activeElement === first) {
        event.preventDefault();
        last?.focus();
      } else if (!event.shiftKey && document.activeElement === last) {
        event.preventDefault();
        first?.focus();
      }
    },
  };
}
