/** The sandbox's member API (docs/sandbox.md): requests, and the stream of events. Knows nothing of the page. */

export class ApiError extends Error {}

/**
 * Speaks for one member at a time.
 * @param {string} member the member's id
 */
export function memberApi(member) {
  return {
    /** Runs a slash command from its parts. Values of type File travel as the files of their options. */
    runCommand(channel, name, options) {
      const values = Object.entries(options);
      const files = values
        .filter(([, value]) => value instanceof File)
        .map(([option, file]) => [`file:${option}`, file]);
      const plain = Object.fromEntries(values.filter(([, value]) => !(value instanceof File)));
      return post("/sandbox/commands", { member, channel, name, options: plain }, files);
    },
    /** Runs a slash command as it was typed; the sandbox reads it. `files` are [option, File] pairs. */
    runText(channel, text, files = []) {
      return post(
        "/sandbox/commands",
        { member, channel, text },
        files.map(([option, file]) => [`file:${option}`, file]),
      );
    },
    runMessageCommand: (channel, name, messageId) =>
      post("/sandbox/commands", { member, channel, name, target_message: messageId }),
    runUserCommand: (channel, name, userId) =>
      post("/sandbox/commands", { member, channel, name, target_user: userId }),
    autocomplete: (channel, name, options, focused) =>
      post("/sandbox/autocomplete", { member, channel, name, options, focused }),
    useComponent: (messageId, customId, values) =>
      post("/sandbox/components", {
        member,
        message_id: messageId,
        custom_id: customId,
        ...(values ? { values } : {}),
      }),
    /** `files` are [custom_id, File] pairs. */
    submitModal: (interactionId, values, files = []) =>
      post(
        "/sandbox/modals",
        { member, interaction_id: interactionId, values },
        files.map(([id, file]) => [`file:${id}`, file]),
      ),
    sendMessage: (channel, content, files) =>
      post(
        "/sandbox/messages",
        { member, channel, content },
        files.map((file) => ["file", file]),
      ),
    deleteMessage: (channel, id) =>
      request(
        `/sandbox/messages/${encodeURIComponent(channel)}/${encodeURIComponent(id)}?member=${encodeURIComponent(member)}`,
        { method: "DELETE" },
      ),
  };
}

/** @param {string|null} member null: whoever comes first */
export function fetchState(member) {
  return request(`/sandbox/state${member ? `?member=${encodeURIComponent(member)}` : ""}`);
}

/**
 * Opens the stream of events. Exactly one `onClose` follows unless `close()` is called on what is returned.
 * @param {string} member
 * @param {(frame: any) => void} onFrame
 * @param {() => void} onClose
 */
export function openEvents(member, onFrame, onClose) {
  const address = new URL(`/sandbox/events?member=${encodeURIComponent(member)}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.onmessage = (event) => onFrame(JSON.parse(event.data));
  socket.onclose = () => onClose();
  return {
    close() {
      socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/**
 * Attachments name the sandbox by an absolute URL; the page may know it by another name (localhost). Pictures from any
 * other host are never loaded: the page asks nobody but its own server.
 * @param {string|null|undefined} url
 * @returns {string|null} a path on this server, or null
 */
export function localUrl(url) {
  if (!url || !URL.canParse(url, location.href)) return null;
  const { protocol, hostname, port, origin, pathname, search } = new URL(url, location.href);
  const loopback = ["127.0.0.1", "localhost", "[::1]"];
  const same =
    origin === location.origin ||
    (loopback.includes(hostname) && loopback.includes(location.hostname) && port === location.port);
  return same && protocol.startsWith("http") ? pathname + search : null;
}

/** @returns {Promise<number|undefined>} how many bytes a file of this server has */
export async function sizeOf(path) {
  const answer = await fetch(path, { method: "HEAD" }).catch(() => null);
  const length = answer?.ok ? answer.headers.get("content-length") : null;
  return length === null ? undefined : Number(length);
}

function post(path, payload, files = []) {
  if (!files.length) {
    return request(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(payload),
    });
  }
  const form = new FormData();
  form.append("payload_json", JSON.stringify(payload));
  for (const [part, file] of files) form.append(part, file, file.name);
  return request(path, { method: "POST", body: form });
}

/** @throws {ApiError} with a sentence for the member */
async function request(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError("The sandbox cannot be reached. Is it still running?");
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(body?.error ?? `The sandbox answered ${response.status}.`);
  return body;
}
