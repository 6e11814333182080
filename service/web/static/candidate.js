// One candidate: its figures against the limits, its widths, its files, and the step to training.
import { call, guarded, newKey, pathPart, send } from "./api.js";
import { byId, fill, h, number, title } from "./dom.js";
import { draw, widthTraces } from "./plots.js";

const id = pathPart(2);
const name = pathPart(4);
const key = newKey();

guarded(async () => {
  const [detail, found, one, files] = await Promise.all([call(`/jobs/${id}`), call(`/jobs/${id}/candidates`), call(`/jobs/${id}/candidates/${encodeURIComponent(name)}`), call(`/jobs/${id}/files`)]);
  byId("title").textContent = `Candidate ${one.finalist ?? one.id}`;
  byId("job").textContent = detail.job.name;
  byId("job").href = `/jobs/${id}`;
  fill(byId("figures"), ...Object.entries(one.figures).map(([figure, value]) => {
    const limit = found.budget[figure];
    return h("tr", {}, h("th", { scope: "row" }, title(figure)), h("td", { class: "number" }, number(value)),
      h("td", { class: "number" }, limit === undefined ? "" : number(limit)), h("td", { class: "number" }, limit === undefined ? "" : number(limit - value)));
  }));
  const shown = { [one.finalist ?? one.id]: one.config };
  if (found.others.dense) shown.dense = found.others.dense.config;
  byId("export").href = `/api/v1/jobs/${id}/candidates/${one.id}/onnx`;
  byId("export").title = "Random weights, to time the network elsewhere";
  const text = JSON.stringify(one.config, null, 2);
  byId("config").textContent = text;
  byId("save").addEventListener("click", () => {
    const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/json" })), download: `${one.id}.json` });
    link.click();
    URL.revokeObjectURL(link.href);
  });
  const mine = files.filter((file) => one.finalist && file.name.startsWith(one.finalist));
  byId("none").hidden = mine.length > 0;
  fill(byId("files"), ...mine.map((file) => h("li", {}, h("a", { href: `/api/v1/artifacts/${file.artifact}?name=${encodeURIComponent(file.name.replaceAll("/", "-"))}`, download: file.name.replaceAll("/", "-") }, `${file.stage}/${file.name}`), ` (${file.bytes.toLocaleString("en")} bytes)`)));
  byId("train").addEventListener("click", () => guarded(async () => {
    const job = await send("POST", `/jobs/${id}/train`, { candidates: [one.id] }, { "Idempotency-Key": key });
    fill(byId("trained"), "Started: ", h("a", { href: `/jobs/${job.id}` }, job.name));
  }));
  await draw("widths", () => ({ data: widthTraces(shown, detail.spec.network.depths), layout: { yaxis: { title: { text: "channels" } }, xaxis: { tickangle: -60, tickfont: { size: 10 } } } }), `Widths of every layer of ${Object.keys(shown).join(" and ")}`);
});
