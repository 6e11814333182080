// All latency tables, and taking one in.
import { call, guarded } from "./api.js";
import { byId, fill, h, number } from "./dom.js";

async function load() {
  const tables = await call("/tables");
  fill(byId("tables"), ...tables.map((table) => {
    const d = table.details;
    const from = table.job === "shipped" ? "shipped" : table.job ? h("a", { href: `/jobs/${table.job}` }, `job ${table.job}`) : "upload";
    return h("tr", {}, h("td", {}, h("a", { href: `/tables/${table.id}` }, table.name)), h("td", {}, d.origin), h("td", {}, d.device),
      h("td", {}, `${d.runtime} ${d.runtime_version}`), h("td", {}, d.precision), ...["batch", "threads", "rows", "networks"].map((n) => h("td", { class: "number" }, number(d[n]))), h("td", {}, from));
  }));
}

byId("upload").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    const file = event.target.elements.file.files[0];
    if (!file) throw new Error("choose a table file first");
    const name = event.target.elements.name.value || file.name.replace(/\.json$/, "");
    const made = await call(`/tables?name=${encodeURIComponent(name)}`, { method: "POST", body: file, headers: { "Content-Type": "application/json" } });
    location.assign(`/tables/${made.id}`);
  });
});
guarded(load);
