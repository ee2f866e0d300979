// Asks the bot again and again how everything stands, and shows it.

import { element, lasting, many, mark, percent, show, size, taking, write } from "./view.js";

const EVERY_MS = 1000;
const WITHIN_MS = 8000;

const at = (id) => document.getElementById(id);
let heardAt = null;

async function look() {
  const answer = await fetch("status/now", { cache: "no-store", signal: AbortSignal.timeout(WITHIN_MS) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

async function goOn() {
  if (!document.hidden) {
    try {
      const now = await look();
      heardAt = Date.now();
      document.body.classList.remove("lost");
      render(now);
    } catch {
      lose();
    }
  }
  setTimeout(goOn, EVERY_MS);
}

function lose() {
  document.body.classList.add("lost");
  const since = heardAt === null ? "" : ` for ${lasting((Date.now() - heardAt) / 1000)}`;
  mark(at("health"), "bad");
  write(at("health"), `The bot gives no answer${since}`);
  document.title = "No answer – Easel";
}

function render(now) {
  const [state, said] = health(now);
  mark(at("health"), state);
  write(at("health"), said);
  write(at("since"), `Up for ${lasting(now.now - now.started_at)} · Easel ${now.versions.Easel}`);
  document.title = `${now.running.length} at work, ${now.waiting_count} waiting – Easel`;
  tiles(now);
  works(now);
  queue(now);
  failures(now);
  engines(now);
  cards(now);
  house(now);
  write(at("privacy"), now.shows_words
    ? "Members' words are shown (EASEL_WATCH_WORDS=on). Pictures of age-restricted channels are not."
    : "Members' names and words are not shown, nor pictures of age-restricted channels.");
  write(at("versions"), Object.entries(now.versions).map(([name, version]) => `${name} ${version}`).join(" · "));
}

function health(now) {
  const up = now.engines.filter((engine) => engine.up).length;
  if (!now.online) return ["bad", "Not connected to Discord"];
  if (up === 0) return now.engines.every((engine) => engine.device === "")
    ? ["", "The engine is starting"] : ["bad", "No engine is ready"];
  if (now.disk !== null && now.disk.free < now.disk.needed) return ["bad", "The disk is nearly full"];
  if (up < now.engines.length) return ["", `${up} of ${now.engines.length} engines ready`];
  return ["good", "All is well"];
}

function tiles(now) {
  const { lately, disk } = now;
  const share = lately.ended ? lately.failed_by_us / lately.ended : 0;
  const using = now.cards.filter((card) => card.use !== null);
  const shown = [
    { what: "At work", value: now.running.length, note: now.running.length ? workNote(now) : "idle" },
    {
      what: "Waiting", value: now.waiting_count, unit: ` of ${now.max_waiting}`,
      note: now.waiting_count
        ? `of ${many(now.waiting_members, "member", "members")}, oldest for ${lasting(now.now - now.oldest_at)}`
        : "nobody waits",
      bad: now.waiting_count >= now.max_waiting,
    },
    lately.p95_wait_s === null
      ? { what: "Wait for a turn", value: "–", note: "no job has been started yet" }
      : {
        what: "Wait for a turn", value: taking(lately.median_wait_s), note: `median; 95 of 100 under ${taking(lately.p95_wait_s)}`,
      },
    {
      what: "Failures of ours", value: lately.ended ? percent(share) : "–",
      note: lately.ended ? `${lately.failed_by_us} of the last ${lately.ended} jobs` : "no job has ended yet",
      bad: share > 0.005 && lately.failed_by_us > 0,
    },
    using.length
      ? {
        what: using.length === 1 ? "Card in use" : "Cards in use",
        value: percent(using.reduce((sum, card) => sum + card.use, 0) / using.length),
        note: using.length === 1 ? using[0].name : `${using.length} cards`,
      }
      : {
        what: "Time for a picture", value: lately.median_work_s === null ? "–" : taking(lately.median_work_s),
        note: lately.median_work_s === null ? "no job has finished yet" : "median of the jobs that finished",
      },
  ];
  show(at("tiles"), shown, (tile) => tile.what, () => element("div", { class: "tile" },
    element("p", { class: "what" }), element("p", { class: "value" }), element("p", { class: "note" })),
  (child, tile) => {
    const [what, value, note] = child.children;
    write(what, tile.what);
    const text = `${tile.value}${tile.unit ?? ""}`;
    if (value.textContent !== text) value.replaceChildren(String(tile.value), element("small", {}, tile.unit ?? ""));
    write(note, tile.note);
    mark(child, tile.bad ? "bad" : "");
  });
}

function workNote(now) {
  const loading = now.running.filter((work) => work.stage === "loading").length;
  if (loading) return `${loading} loading a model`;
  const finishing = now.running.filter((work) => work.stage === "finishing").length;
  return finishing === now.running.length ? "finishing" : many(now.engines.filter((engine) => engine.up).length, "engine", "engines");
}

const STAGES = { starting: "Starting", loading: "Loading the model", painting: "Step", finishing: "Finishing" };

function works(now) {
  write(at("work-count"), now.running.length ? String(now.running.length) : "");
  at("works-none").hidden = now.running.length > 0;
  show(at("works"), now.running, (work) => work.job, (work) => element("li", { class: "work" },
    element("div", { class: "picture" }, element("span")),
    element("div", { class: "about" },
      element("div", { class: "head" },
        element("span", { class: "command" }, `/${work.command}`),
        element("span", { class: "number" }, `#${work.job}`),
        element("span", { class: "age", title: "when it was asked for" })),
      element("p", { class: "facts-line" }, [work.model, work.facts].filter(Boolean).join(" · ")),
      work.words === null ? null : element("p", { class: "words" }, work.words),
      element("p", { class: "stage" }, element("span"), element("span")),
      element("progress", { max: 1, "aria-label": `Progress of job ${work.job}` }))),
  (child, work) => {
    const picture = child.querySelector(".picture");
    preview(picture, work);
    write(child.querySelector(".age"), `${lasting(now.now - work.asked_at)} ago`);
    const [stage, share] = child.querySelectorAll(".stage span");
    const stepping = work.stage === "painting" && work.steps > 0;
    write(stage, stepping ? `Step ${work.step} of ${work.steps}` : STAGES[work.stage] ?? work.stage);
    write(share, stepping ? `${Math.round((100 * work.step) / work.steps)} %` : "");
    const bar = child.querySelector("progress");
    if (work.stage === "loading" || work.stage === "starting") bar.removeAttribute("value");
    else bar.value = work.steps > 0 ? work.step / work.steps : 1;
  });
}

function preview(place, work) {
  const said = place.querySelector("span");
  let image = place.querySelector("img");
  if (work.preview === null) {
    image?.remove();
    write(said, work.hidden ? "not shown: age-restricted" : "no preview yet");
    return;
  }
  if (image?.getAttribute("src") === work.preview || place.dataset.coming === work.preview) return;
  // The one before stays until the next is there.
  place.dataset.coming = work.preview;
  const next = element("img", { src: work.preview, alt: `What job ${work.job} looks like so far` });
  next.decode().then(() => {
    if (place.dataset.coming !== work.preview) return;
    place.querySelector("img")?.remove();
    place.append(next);
    write(said, "");
  }, () => {
    // It has ended meanwhile.
    if (place.dataset.coming === work.preview) delete place.dataset.coming;
  });
}

function queue(now) {
  write(at("queue-count"), now.waiting_count ? String(now.waiting_count) : "");
  at("queue").hidden = now.waiting.length === 0;
  at("queue-none").hidden = now.waiting.length > 0;
  show(at("queue"), now.waiting, (work) => work.job, (work) => element("li", { class: "row" },
    element("span", { class: "place" }),
    element("div", { class: "head" },
      element("span", { class: "command" }, `/${work.command}`),
      element("span", { class: "number" }, `#${work.job}`),
      work.quick ? element("span", { class: "tag" }, "quick") : null),
    element("span", { class: "age" }),
    element("div", { class: "below" },
      element("p", { class: "facts-line" }),
      work.words === null ? null : element("p", { class: "words" }, work.words))),
  (child, work) => {
    write(child.querySelector(".place"), String(work.place));
    write(child.querySelector(".age"), `for ${lasting(now.now - work.asked_at)}`);
    const ready = work.ready_at === null ? "" : `ready in about ${lasting(work.ready_at - now.now)}`;
    write(child.querySelector(".facts-line"), [work.model, work.facts, ready].filter(Boolean).join(" · "));
  });
  const more = now.waiting_count - now.waiting.length;
  at("queue-more").hidden = more <= 0;
  write(at("queue-more"), more > 0 ? `and ${more} more` : "");
}

function failures(now) {
  at("failures").hidden = now.failures.length === 0;
  at("failures-none").hidden = now.failures.length > 0;
  show(at("failures"), now.failures, (failure) => failure.job, (failure) => element("li", { class: "row" },
    element("div", { class: "head" },
      element("span", { class: "command" }, `/${failure.command}`),
      element("span", { class: "number" }, `#${failure.job}`),
      element("span", { class: "tag", "data-state": failure.ours ? "bad" : null }, failure.ours ? "ours" : "the request's")),
    element("time", { class: "age", title: new Date(failure.at * 1000).toLocaleString() }),
    element("p", { class: "why facts-line" }, failure.why)),
  (child, failure) => write(child.querySelector(".age"), `${lasting(now.now - failure.at)} ago`));
}

function gauge(name) {
  return element("div", { class: "gauge" },
    element("p", { class: "label" }, element("span", {}, name), element("span")),
    element("progress", { class: "memory", max: 1, "aria-label": name }));
}

function fill(place, used, all) {
  place.hidden = used === null || all === null || all <= 0;
  if (place.hidden) return;
  write(place.querySelector(".label").lastElementChild, `${size(used)} of ${size(all)}`);
  place.querySelector("progress").value = Math.min(used / all, 1);
}

function engines(now) {
  show(at("engines"), now.engines, (engine) => engine.name, (engine) => element("li", { class: "engine" },
    element("div", { class: "head" }, element("h3", {}, engine.name), element("span", { class: "pill" })),
    element("p", { class: "facts-line" }),
    element("p", { class: "why" }),
    element("ul", { class: "models" }),
    gauge("Models in memory")),
  (child, engine) => {
    const pill = child.querySelector(".pill");
    const starting = !engine.up && engine.device === "";
    mark(pill, engine.up ? "good" : starting ? "" : "bad");
    write(pill, engine.up ? "ready" : starting ? "starting" : `away for ${lasting(engine.away_s)}`);
    const facts = [engine.device];
    if (engine.restarts) facts.push(`started again ${many(engine.restarts, "time", "times")}`);
    if (engine.silent_s > 10) facts.push(`no sign of life for ${lasting(engine.silent_s)}`);
    write(child.querySelector(".facts-line"), facts.filter(Boolean).join(" · "));
    const why = child.querySelector(".why");
    why.hidden = engine.why === "";
    why.classList.toggle("past", engine.up);
    write(why, engine.up ? `Last time: ${engine.why}` : engine.why);
    child.querySelector(".models").hidden = engine.models.length === 0;
    show(child.querySelector(".models"), engine.models, (model) => `${model.kind} ${model.name}`, (model) => element("li", {},
      element("span", {}, model.name), element("span", { class: "kind" }, model.kind), element("span", { class: "size" })),
    (row, model) => write(row.querySelector(".size"), size(model.bytes)));
    const used = engine.models.reduce((sum, model) => sum + model.bytes, 0);
    fill(child.querySelector(".gauge"), engine.up ? used : null, engine.budget_bytes);
  });
}

function cards(now) {
  at("cards-section").hidden = now.cards.length === 0;
  show(at("cards"), now.cards.map((card, number) => ({ ...card, number })), (card) => card.number, (card) => element("li", { class: "engine" },
    element("div", { class: "head" }, element("h3", {}, card.name)),
    element("p", { class: "facts-line" }),
    gauge("Memory in use")),
  (child, card) => {
    const facts = [];
    if (card.use !== null) facts.push(`${percent(card.use)} in use`);
    if (card.watts !== null) facts.push(`${Math.round(card.watts)} W`);
    if (card.celsius !== null) facts.push(`${Math.round(card.celsius)} °C`);
    write(child.querySelector(".facts-line"), facts.join(" · "));
    fill(child.querySelector(".gauge"), card.used_bytes, card.bytes);
  });
}

function house(now) {
  const { disk, lately } = now;
  const facts = [
    ["Discord", now.online ? [many(now.servers, "server", "servers"), now.latency_ms === null ? "" : `${Math.round(now.latency_ms)} ms`].filter(Boolean).join(", ") : "not connected", !now.online],
    ["Free on the disk", disk === null ? "–" : size(disk.free), disk !== null && disk.free < disk.needed],
    ["Pictures kept", disk === null ? "–" : disk.count ? `${disk.count.toLocaleString("en")}, ${size(disk.pictures)}` : "none when last counted", false],
    ["Database", disk === null ? "–" : size(disk.database), false],
    ["Newest backup", disk === null || disk.backed_up_at === null ? "none made here" : `${lasting(now.now - disk.backed_up_at)} ago`, false],
    ["Last jobs", lately.ended ? `${lately.finished} finished, ${lately.cancelled} cancelled` : "none yet", false],
  ];
  show(at("house"), facts, (fact) => fact[0], (fact) => element("div", {}, element("dt", {}, fact[0]), element("dd")),
    (child, [, said, bad]) => {
      write(child.lastElementChild, said);
      mark(child.lastElementChild, bad ? "bad" : "");
    });
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look().then(render, lose);
});
goOn();
