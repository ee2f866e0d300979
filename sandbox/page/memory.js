/** Whom to speak as, and where, after a reload: kept in the address, so that two tabs can be two members. */

/**
 * @param {string|null} member
 * @param {string|null} channel
 */
export function remember(member, channel) {
  const hash = `#member=${encodeURIComponent(member ?? "")}&channel=${encodeURIComponent(channel ?? "")}`;
  if (hash === location.hash) return;
  history.replaceState(null, "", hash);
  localStorage.setItem("easel-member", member ?? "");
}

/** @returns {{member: string|null, channel: string|null}} ids or names; what `remember` kept, or what a link says */
export function remembered() {
  const kept = new URLSearchParams(location.hash.slice(1));
  return {
    member: kept.get("member") || localStorage.getItem("easel-member") || null,
    channel: kept.get("channel") || null,
  };
}
