// One job: what is known of it now, then every event as it comes; a reload loses nothing.
import { call, guarded, pathPart, send } from "./api.js";
import { byId, fill, h, number, state, took, when } from "./dom.js";
import { draw, palette } from "./plots.js";

const id = pathPart(2);
const ENDED = ["succeeded", "failed", "cancelled"];
const KINDS = ["submitted", "claimed", "started", "progress", "stage_done", "stage_reused", "attempt_failed", "attempt_lost",
  "attempt_interrupted", "member_joined", "member_lost", "pause_asked", "paused", "resumed", "cancel_asked", "retried", "prioritised", ...ENDED];
const VERBS = { pause: ["queued", "running"], resume: ["paused"], cancel: ["queued", "running", "paused"], retry: ["failed", "cancelled"] };
const series = new Map();
let shownAttempt = null;
let logSource = null;

function verbs(job) {
  // Drawn anew only when something changed: nobody's half-typed priority is taken away.
  const mark = `${job.state} ${job.priority}`;
  if (byId("verbs").dataset.mark === mark) return;
  byId("verbs").dataset.mark = mark;
  const buttons = Object.entries(VERBS).filter(([, states]) => states.includes(job.state)).map(([verb]) =>
    h("button", { type: "button", class: verb === "cancel" ? "quiet" : null, onclick: () => guarded(async () => {
      await send("POST", `/jobs/${id}/${verb}`);
      await load();
    }) }, verb[0].toUpperCase() + verb.slice(1)));
  if (!ENDED.includes(job.state)) {
    const field = h("input", { type: "number", min: -100, max: 100, value: job.priority, "aria-label": "Priority, -100 to 100" });
    buttons.push(field, h("button", { type: "button", class: "quiet", onclick: () => guarded(async () => {
      await send("PUT", `/jobs/${id}/priority`, { priority: Number(field.value) });
      await load();
    }) }, "Set priority"));
  }
  fill(byId("verbs"), ...buttons);
}

function stageLine(stage, attempts) {
  const runs = attempts.filter((attempt) => attempt.stage === stage.name);
  const last = runs.at(-1);
  const end = last?.finished_at ?? (last?.started_at ? Date.now() / 1000 : null);
  const note = stage.reused_from ? h("span", {}, "taken over from ", h("a", { href: `/jobs/${stage.reused_from}` }, stage.reused_from))
    : (stage.error ?? last?.note ?? "");
  return h("tr", {}, h("th", { scope: "row" }, stage.name), h("td", {}, state(stage.state)),
    h("td", {}, when(last?.started_at)), h("td", { class: "number" }, last?.started_at ? took(end - last.started_at) : ""),
    h("td", {}, note, runs.length > 1 ? ` (attempt ${runs.length})` : ""));
}

async function files(found) {
  fill(byId("files"), ...found.map((file) => h("tr", {}, h("td", {}, file.stage),
    h("td", {}, h("a", { href: `/api/v1/artifacts/${file.artifact}?name=${encodeURIComponent(file.name)}`, download: file.name }, file.name)),
    h("td", { class: "number" }, file.bytes.toLocaleString("en")))));
  const names = new Set(found.map((file) => file.name));
  const links = [];
  if (names.has("search.json")) links.push(h("a", { href: `/jobs/${id}/search` }, "What the search found"));
  if (names.has("report.html")) {
    const report = found.find((file) => file.name === "report.html");
    links.push(h("a", { href: `/api/v1/artifacts/${report.artifact}?name=report.html`, download: "report.html" }, "Report"));
  }
  const bundle = found.find((file) => file.name.endsWith(".bundle.zip"));
  if (bundle) links.push(h("a", { href: `/api/v1/artifacts/${bundle.artifact}?name=${encodeURIComponent(bundle.name)}`, download: bundle.name }, "Bundle"));
  const table = found.find((file) => file.name === "table.json");
  const made = table && (await call("/tables")).find((one) => one.artifact === table.artifact);
  if (made) links.push(h("a", { href: `/tables/${made.id}` }, "Its latency table"));
  fill(byId("links"), ...links);
}

async function load() {
  const { job, spec, stages, attempts } = await call(`/jobs/${id}`);
  document.title = `${job.name}: ${job.state} - stairprune`;
  byId("title").textContent = job.name;
  fill(byId("state"), state(job.state));
  byId("about").textContent = `${job.id}, of ${job.user}, submitted ${when(job.created_at)}, priority ${job.priority}`;
  byId("waits").textContent = job.error ?? (job.waits ? `Waits: ${job.waits}` : "");
  verbs(job);
  fill(byId("stages"), ...stages.map((stage) => stageLine(stage, attempts)));
  byId("spec").textContent = JSON.stringify(spec, null, 2);
  const select = byId("attempt");
  fill(select, ...attempts.map((attempt) => h("option", { value: attempt.id }, `${attempt.stage} ${attempt.id}`)));
  const newest = attempts.at(-1)?.id ?? null;
  if (newest && (shownAttempt === null || !select.dataset.chosen)) follow(newest);
  if (shownAttempt) select.value = shownAttempt;
  await files(await call(`/jobs/${id}/files`));
  return job;
}

// The log goes on by itself: EventSource comes back with the last id after a lost connection.
function follow(attempt) {
  if (attempt === shownAttempt) return;
  shownAttempt = attempt;
  logSource?.close();
  const log = byId("log");
  log.textContent = "";
  logSource = new EventSource(`/api/v1/jobs/${id}/log?follow=true&attempt=${attempt}`);
  logSource.addEventListener("log", (event) => {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
    log.textContent = (log.textContent + JSON.parse(event.data).text).slice(-200000);
    if (atEnd) log.scrollTop = log.scrollHeight;
  });
  logSource.addEventListener("end", () => logSource.close());
}

byId("attempt").addEventListener("change", (event) => {
  event.target.dataset.chosen = "yes";
  follow(event.target.value);
});

// Notes say values as "loss 2.31" or "best 0.285": each becomes a line.
function keep(stage, at, note) {
  for (const [, name, value] of note.matchAll(/\b(loss|best|val_accuracy\w*|error) (-?\d+(?:\.\d+)?)/g)) {
    const key = `${stage}: ${name}`;
    if (!series.has(key)) series.set(key, { x: [], y: [] });
    series.get(key).x.push(new Date(at * 1000));
    series.get(key).y.push(Number(value));
  }
  if (![...series.values()].some(({ x }) => x.length > 1)) return;
  byId("values").hidden = false;
  draw("chart", () => ({
    data: [...series].map(([name, { x, y }], n) => ({ x, y, name, mode: "lines+markers", line: { color: palette()[n % 5] } })),
    layout: { xaxis: { title: { text: "time" } }, yaxis: { title: { text: "value" } } },
  }), `Values told while the job runs: ${[...series.keys()].join(", ")}`);
}

function told(kind, data) {
  // Only what is kept has a time; EventSource repeats the last id for what has none.
  if (data.at !== undefined) {
    byId("events").append(h("li", {}, `${when(data.at)} ${kind} ${data.stage ?? ""} ${data.note ?? ""}`));
  }
  if (kind !== "progress") return;
  byId("live").textContent = `${data.stage}: ${data.note} (${number(data.done)} of ${number(data.total)})`;
  const bar = byId("progress");
  bar.hidden = !data.total;
  bar.max = data.total || 1;
  bar.value = data.done;
  keep(data.stage, data.at ?? Date.now() / 1000, data.note);
}

function listen() {
  const source = new EventSource(`/api/v1/jobs/${id}/events`);
  let soon = null;
  const later = () => { clearTimeout(soon); soon = setTimeout(() => guarded(load), 150); };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      told(kind, JSON.parse(event.data));
      if (kind !== "progress") later();
    });
  }
  source.addEventListener("end", () => {
    source.close();
    byId("progress").hidden = true;
    byId("live").textContent = "";
    later();
  });
}

guarded(load).then(listen);
