// The table inspector: a step curve with its raw rounds, heat map, roofline, two tables overlaid.
import { call, guarded, pathPart } from "./api.js";
import { byId, fill, h, number } from "./dom.js";
import { draw, palette } from "./plots.js";

const id = pathPart(2);
const query = new URLSearchParams(location.search);
const form = byId("controls");
const PAGE = 200;
let table = null;
let start = 0;

const chosen = () => table.curves[Number(form.elements.curve.value)];
const other = () => form.elements.with.value;

function curveTraces(curve, name, color, c) {
  const rounds = curve.rounds.flatMap((all, at) => all.map((ms) => [curve.widths[at], ms]));
  const edges = curve.edges.filter((edge) => curve.right_edges.includes(edge.right));
  const at = (width) => curve.ms[curve.widths.indexOf(width)];
  return [
    { x: rounds.map(([w]) => w), y: rounds.map(([, ms]) => ms), mode: "markers", name: `${name}: raw rounds`, marker: { size: 4, opacity: 0.3, color }, hovertemplate: "%{x}: %{y:.5g} ms<extra></extra>" },
    { x: curve.widths, y: curve.ms, mode: "lines+markers", name: `${name}: median`, line: { color }, error_y: { type: "data", symmetric: false, array: curve.high.map((v, n) => v - curve.ms[n]), arrayminus: curve.low.map((v, n) => curve.ms[n] - v), thickness: 1, width: 2 } },
    { x: edges.map((e) => e.right), y: edges.map((e) => at(e.right)), mode: "markers", name: `${name}: right edges`, marker: { symbol: "triangle-left", size: 13, color: c.bad, line: { width: 1, color } }, text: edges.map((e) => `right edge ${e.right}, confidence ${Math.round(100 * e.confidence)} %`), hovertemplate: "%{text}<extra></extra>" },
  ];
}

async function curve() {
  const wanted = chosen();
  const path = (which) => `/tables/${which}/curve?block=${encodeURIComponent(wanted.block)}&gene=${wanted.gene}`;
  const first = await call(path(id));
  const second = other() ? await call(path(other())).catch(() => null) : null;
  await draw("curve", (c) => ({
    data: [...curveTraces(first, "this", palette()[0], c), ...(second ? curveTraces(second, "other", palette()[2], c) : [])],
    layout: { title: { text: first.stamp, font: { size: 12 } }, xaxis: { title: { text: `${wanted.gene} (channels), ${wanted.label}` } }, yaxis: { title: { text: "ms" }, rangemode: "tozero" } },
  }), `Latency of ${wanted.block} by ${wanted.gene}; right edges at ${first.right_edges.join(", ") || "none found"}`);
  byId("edges").textContent = `Right edges: ${first.right_edges.join(", ") || "none found"}${second ? `; of the other table: ${second.right_edges.join(", ") || "none found"}` : other() ? "; the other table has no such curve" : ""}.`;
  fill(byId("points"), ...first.widths.map((width, n) => h("tr", {}, h("td", { class: "number" }, String(width)), h("td", { class: "number" }, number(first.ms[n])),
    h("td", {}, `${number(first.low[n])} to ${number(first.high[n])}`), h("td", {}, first.rounds[n].map((ms) => number(ms, 4)).join(" ")), h("td", {}, first.right_edges.includes(width) ? "right edge" : ""))));
}

async function heat() {
  const { rows } = await call(`/tables/${id}/rows?block=${encodeURIComponent(chosen().block)}&limit=20000`);
  const axes = rows[0].axes;
  const [x, y] = [axes.indexOf("w1"), axes.indexOf("cout")].map((at, n) => (at < 0 ? n : at));
  await draw("heat", () => ({
    data: [{ x: rows.map((r) => r.widths[x]), y: rows.map((r) => r.widths[y]), mode: "markers", type: "scatter", marker: { size: 11, symbol: "square", color: rows.map((r) => r.ms), colorscale: "Viridis", showscale: true, colorbar: { title: { text: "ms" } } }, text: rows.map((r) => `${r.widths.join(" ")}: ${number(r.ms)} ms`), hovertemplate: "%{text}<extra></extra>" }],
    layout: { xaxis: { title: { text: `${axes[x]} (channels)` } }, yaxis: { title: { text: `${axes[y]} (channels)` } } },
  }), `Latency of ${rows.length} measured shapes of ${chosen().block} by ${axes[x]} and ${axes[y]}`);
}

async function roof() {
  const found = await call(`/tables/${id}/roof`);
  if (!found) { byId("roofnote").textContent = "Peak and bandwidth were not measured with this table."; byId("roof").hidden = true; return; }
  byId("roofnote").textContent = `Peak ${number(found.gmacs)} GMAC/s, bandwidth ${number(found.gbytes)} GB/s.`;
  const x = found.points.map((p) => p.intensity);
  const ends = [Math.min(...x) / 1.5, found.gmacs / found.gbytes, Math.max(...x) * 1.5];
  await draw("roof", (c) => ({
    data: [
      { x, y: found.points.map((p) => p.gmacs), mode: "markers", name: "measured shapes", marker: { size: 5, opacity: 0.5, color: c.accent }, text: found.points.map((p) => `${p.block} ${p.widths.join(" ")}: ${Math.round(100 * p.share)} % of the roof`), hovertemplate: "%{text}<extra></extra>" },
      { x: ends, y: ends.map((i) => Math.min(found.gmacs, i * found.gbytes)), mode: "lines", name: "roof", line: { color: c.bad } },
    ],
    layout: { xaxis: { type: "log", title: { text: "MACs per byte" } }, yaxis: { type: "log", title: { text: "GMAC/s" } } },
  }), `Roofline: ${found.points.length} shapes under a peak of ${number(found.gmacs)} GMAC/s`);
}

async function held() {
  const found = table.held_out ?? await call(`/tables/${id}/held-out`);
  if (!found) { byId("held").replaceChildren("No networks were measured with this table."); return; }
  const groups = Map.groupBy ? Map.groupBy(found.networks, (n) => n.role) : new Map([["networks", found.networks]]);
  const most = Math.max(...found.networks.map((n) => n.measured)) * 1.05;
  await draw("held", (c) => ({
    data: [...[...groups].map(([role, list], n) => ({ x: list.map((e) => e.measured), y: list.map((e) => e.predicted), mode: "markers", name: role, marker: { size: 7, opacity: 0.7, color: palette()[n] }, hovertemplate: "measured %{x:.5g} ms<br>predicted %{y:.5g} ms<extra></extra>" })),
      { x: [0, most], y: [0, most], mode: "lines", name: "equal", line: { color: c.soft, dash: "dot" } }],
    layout: { xaxis: { title: { text: "measured, ms" } }, yaxis: { title: { text: "predicted, ms" } } },
  }), `Predicted against measured latency of ${found.networks.length} networks`);
}

async function diff() {
  if (!other()) { byId("diff").textContent = "Choose a table to overlay."; return; }
  const found = await call(`/tables/${id}/diff/${other()}`);
  const moved = found.edges.filter((e) => e.moved.length || e.gone.length || e.new.length).length;
  byId("diff").textContent = `${found.rows.count} common rows, second / first ${number(found.rows.median, 4)} (5 to 95 %: ${number(found.rows.low, 4)} to ${number(found.rows.high, 4)}); right edges differ in ${moved} of ${found.edges.length} curves; ${found.apart.length} rows lie apart.`;
}

async function rows() {
  const found = await call(`/tables/${id}/rows?start=${start}&limit=${PAGE}`);
  fill(byId("rows"), ...found.rows.map((row) => h("tr", {}, h("td", {}, row.block), h("td", {}, row.widths.join(" ")), h("td", { class: "number" }, number(row.ms)),
    h("td", {}, `${number(row.low)} to ${number(row.high)}`), h("td", {}, row.rounds.map((ms) => number(ms, 4)).join(" ")), h("td", {}, row.flags.join(" ")))));
  byId("range").textContent = `${start + 1} to ${start + found.rows.length} of ${found.total}`;
  byId("before").disabled = start === 0;
  byId("after").disabled = found.next === null;
}

const PARTS = { "d-heat": heat, "d-roof": roof, "d-held": held, "d-diff": diff, "d-rows": rows };
for (const [part, make] of Object.entries(PARTS)) {
  byId(part).addEventListener("toggle", (event) => { if (event.target.open) guarded(async () => make()); });
}
byId("before").addEventListener("click", () => { start = Math.max(0, start - PAGE); guarded(rows); });
byId("after").addEventListener("click", () => { start += PAGE; guarded(rows); });

function show() {
  const wanted = chosen();
  query.set("block", wanted.block);
  query.set("gene", wanted.gene);
  if (other()) query.set("with", other()); else query.delete("with");
  history.replaceState(null, "", `?${query}`);
  return guarded(async () => {
    await curve();
    if (byId("d-heat").open) await heat();
    if (byId("d-diff").open) await diff();
  });
}

guarded(async () => {
  table = await call(`/tables/${id}`);
  const d = table.details;
  byId("title").textContent = table.name;
  byId("about").textContent = `${d.summary}; ${d.origin}. ${d.rows} shapes, ${d.chains} chains, ${d.networks} networks; fingerprint ${d.fingerprint}.`;
  const errors = table.held_out?.errors;
  byId("trust").textContent = errors?.points ? `${errors.points} networks never fitted: ${number(errors.mape_percent, 3)} % mean error, worst ${number(errors.worst_percent, 3)} %.` : d.networks ? "It holds no fit; open the networks below to have it fitted." : "No network was measured: the prediction error is unknown.";
  byId("download").href = `/api/v1/tables/${id}/download`;
  fill(form.elements.curve, ...table.curves.map((c, n) => h("option", { value: n }, `${c.label} (${c.points} widths)`)));
  const most = table.curves.reduce((top, c, n) => (c.points > table.curves[top].points ? n : top), 0);
  const linked = table.curves.findIndex((c) => c.block === query.get("block") && c.gene === query.get("gene"));
  form.elements.curve.value = linked >= 0 ? linked : most;
  if (!table.curves.length) throw new Error("this table holds no curve: along no axis are there enough points; its rows are below");
  // The curve first: listing all tables takes a server that just started a second.
  const overlaid = query.get("with");
  form.addEventListener("input", show);
  await show();
  const tables = await call("/tables");
  form.elements.with.append(...tables.filter((t) => t.id !== id).map((t) => h("option", { value: t.id }, `${t.name} (${t.details.precision}, batch ${t.details.batch})`)));
  if (overlaid) {
    form.elements.with.value = overlaid;
    show();
  }
  const steps = await call(`/tables/${id}/stairs`);
  [...form.elements.curve.options].forEach((option, n) => { option.textContent = `${steps[n].label} (${steps[n].points} widths, ${steps[n].right_edges.length} right edges)`; });
});
