// What a search found: the front, costs side by side, widths, and the step to training.
import { call, guarded, newKey, pathPart, send } from "./api.js";
import { byId, fill, h, number, title, unit } from "./dom.js";
import { draw, widthTraces } from "./plots.js";

const id = pathPart(2);
const query = new URLSearchParams(location.search);
const form = byId("controls");
const chosen = new Set();
const key = newKey();
let found = null;
let depths = [];
let objective = title("estimate");

function inAddress() {
  for (const name of ["metric", "under", "top"]) {
    if (form.elements[name].value) query.set(name, form.elements[name].value); else query.delete(name);
  }
  history.replaceState(null, "", `?${query}`);
}

function best(metric, under) {
  const inside = found.candidates.filter((c) => !under || c.figures[metric] <= under);
  return inside.reduce((top, c) => (!top || c.figures.estimate > top.figures.estimate ? c : top), null);
}

function link(candidate) {
  return h("a", { href: `/jobs/${id}/candidates/${candidate.id}` }, candidate.finalist ?? candidate.id);
}

async function front(metric, under, top) {
  const others = found.candidates;
  const edge = others.filter((c) => c.front).sort((a, b) => a.figures[metric] - b.figures[metric]);
  const made = others.filter((c) => c.finalist);
  const points = (list, more) => ({ x: list.map((c) => c.figures[metric]), y: list.map((c) => c.figures.estimate), text: list.map((c) => c.finalist ?? c.id), customdata: list.map((c) => c.id), hovertemplate: "%{text}<br>%{x:.5g}<br>estimate %{y:.4f}<extra></extra>", ...more });
  const limit = found.budget[metric];
  await draw("front", (c) => ({
    data: [
      points(others, { name: "scored", mode: "markers", marker: { size: 6, opacity: 0.45, color: c.soft } }),
      points(edge, { name: "front (in latency)", mode: "lines+markers", line: { shape: "hv", color: c.accent } }),
      points(made, { name: "finalists", mode: "markers", marker: { size: 13, symbol: "star", color: c.bad } }),
      ...(top ? [points([top], { name: "best under the limit", mode: "markers", marker: { size: 16, symbol: "circle-open", color: c.good, line: { width: 3 } } })] : []),
    ],
    layout: {
      xaxis: { title: { text: title(metric) } }, yaxis: { title: { text: objective } },
      shapes: [under, limit].filter(Boolean).map((x, n) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { dash: n ? "dash" : "dot", color: c.warn } })),
    },
  }), `${objective} against ${title(metric)} of ${others.length} scored configs; ${edge.length} on the front`);
  byId("front").removeAllListeners("plotly_click");
  byId("front").on("plotly_click", (event) => location.assign(`/jobs/${id}/candidates/${event.points[0].customdata}`));
}

async function parallel(list) {
  const names = [...found.metrics, "estimate"];
  const named = (name) => (name === "estimate" ? objective : title(name));
  const range = (name) => found.candidates.map((c) => c.figures[name]);
  await draw("parallel", (c) => ({
    data: list.map((candidate) => ({
      x: names.map(named), y: names.map((name) => { const all = range(name); const low = Math.min(...all); return (candidate.figures[name] - low) / ((Math.max(...all) - low) || 1); }),
      mode: "lines", name: candidate.finalist ?? candidate.id, showlegend: false, opacity: candidate.front || candidate.finalist ? 0.95 : 0.35,
      line: { color: candidate.finalist ? c.bad : candidate.front ? c.accent : c.soft, width: candidate.finalist ? 3 : 1 },
      hovertemplate: `${candidate.finalist ?? candidate.id}<extra></extra>`,
    })),
    layout: { yaxis: { title: { text: "from least to most" }, tickvals: [0, 1], ticktext: ["least", "most"] } },
  }), `Costs and estimate of the ${list.length} best candidates, each from its least to its most`);
}

function listing() {
  const names = [...new Set(found.candidates.flatMap((c) => Object.keys(c.figures)))].filter((name) => !["measured_low", "measured_high"].includes(name));
  fill(byId("head"), h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "Train")), h("th", { scope: "col" }, "Candidate"), ...names.map((name) => h("th", { scope: "col", class: "number" }, name === "estimate" ? objective : title(name)))));
  const rows = found.candidates.filter((c) => c.front || c.finalist).sort((a, b) => b.figures.estimate - a.figures.estimate);
  fill(byId("candidates"), ...rows.map((candidate) => h("tr", {},
    h("td", {}, h("input", { type: "checkbox", "aria-label": `Train ${candidate.id}`, onchange: (event) => {
      if (event.target.checked) chosen.add(candidate.id); else chosen.delete(candidate.id);
      byId("train").disabled = !chosen.size;
    } })), h("td", {}, link(candidate), candidate.finalist ? ` (${candidate.id})` : ""),
    ...names.map((name) => h("td", { class: "number" }, number(candidate.figures[name]))))));
}

async function show() {
  inAddress();
  const metric = form.elements.metric.value;
  const under = Number(form.elements.under.value) || null;
  byId("unit").textContent = unit(metric);
  byId("shown").textContent = form.elements.top.value;
  const top = best(metric, under);
  const ranked = [...found.candidates].sort((a, b) => b.figures.estimate - a.figures.estimate).slice(0, Number(form.elements.top.value));
  fill(byId("best"), ...(top ? ["Best", under ? ` with at most ${number(under)} ${unit(metric)}` : "", ": ", link(top), `, ${objective.toLowerCase()} ${number(top.figures.estimate, 4)} at ${number(top.figures[metric])} ${unit(metric)}`] : [`No candidate has at most ${number(under)} ${unit(metric)}.`]));
  const shown = {};
  if (found.others.dense) shown.dense = found.others.dense.config;
  for (const candidate of found.candidates.filter((c) => c.finalist).slice(0, 3)) shown[candidate.finalist] = candidate.config;
  if (top) shown[`best (${top.id})`] = top.config;
  const profile = draw("widths", () => ({ data: widthTraces(shown, depths), layout: { yaxis: { title: { text: "channels" } }, xaxis: { tickangle: -60, tickfont: { size: 10 } } } }), `Widths of every layer of ${Object.keys(shown).join(", ")}`);
  await Promise.all([front(metric, under, top), parallel(ranked), profile]);
}

byId("train").addEventListener("click", () => guarded(async () => {
  const job = await send("POST", `/jobs/${id}/train`, { candidates: [...chosen] }, { "Idempotency-Key": `${key} ${[...chosen].sort().join(" ")}` });
  fill(byId("trained"), "Started: ", h("a", { href: `/jobs/${job.id}` }, job.name));
}));

guarded(async () => {
  const [detail, candidates] = await Promise.all([call(`/jobs/${id}`), call(`/jobs/${id}/candidates`)]);
  found = candidates;
  depths = detail.spec.network.depths;
  if (detail.spec.search.objective === "macs") objective = "Objective: MACs";
  const job = byId("job");
  job.textContent = detail.job.name;
  job.href = `/jobs/${id}`;
  byId("about").textContent = `${found.candidates.length} configs scored by ${detail.spec.search.searcher}; limits: ${Object.entries(found.budget).map(([name, limit]) => `${title(name)} ${number(limit)}`).join(", ")}.${objective === title("estimate") ? " Estimates are the supernet's, not trained accuracies." : ""}`;
  const metrics = form.elements.metric;
  fill(metrics, ...found.metrics.map((name) => h("option", { value: name }, title(name))));
  metrics.value = query.get("metric") ?? found.metrics.find((name) => name === "latency_ms") ?? found.metrics[0];
  form.elements.under.value = query.get("under") ?? "";
  form.elements.top.max = found.candidates.length;
  form.elements.top.value = query.get("top") ?? Math.min(50, found.candidates.length);
  form.addEventListener("input", () => guarded(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  listing();
  await show();
});
