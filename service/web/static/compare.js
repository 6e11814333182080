// Jobs side by side: limits, what was found, how long it took.
import { call, guarded } from "./api.js";
import { byId, fill, h, number, state, title, took } from "./dom.js";

guarded(async () => {
  const sides = await call(`/compare${location.search}`);
  fill(byId("head"), h("tr", {}, h("td", {}), ...sides.map((side) => h("th", { scope: "col" }, h("a", { href: `/jobs/${side.id}` }, side.name), h("br"), h("span", { class: "id" }, side.id)))));
  const line = (label, cell, numeric = true) => h("tr", {}, h("th", { scope: "row" }, label), ...sides.map((side) => h("td", { class: numeric ? "number" : null }, cell(side) ?? "-")));
  const names = (pick) => [...new Set(sides.flatMap((side) => Object.keys(pick(side) ?? {})))];
  const finalists = [...new Set(sides.flatMap((side) => side.finalists.map((f) => f.name)))].sort();
  const of = (side, name) => side.finalists.find((f) => f.name === name)?.figures;
  fill(byId("rows"),
    line("State", (side) => state(side.state), false),
    line("Searcher", (side) => side.searcher, false),
    line("Target", (side) => `${side.target.backend}, ${side.target.precision}, batch ${side.target.batch}`, false),
    ...names((side) => side.budget).map((name) => line(`Limit: ${title(name)}`, (side) => number(side.budget?.[name]))),
    ...names((side) => side.best?.figures).filter((name) => !["measured_low", "measured_high"].includes(name)).map((name) => line(`Best by estimate: ${title(name)}`, (side) => number(side.best?.figures[name]))),
    ...finalists.map((name) => line(`${name}: measured ms / test accuracy`, (side) => { const f = of(side, name); return f ? `${number(f.measured_ms)} / ${number(f.test, 4)}` : "-"; })),
    ...names((side) => side.seconds).map((stage) => line(`Time: ${stage}`, (side) => (side.reused.includes(stage) ? "taken over" : took(side.seconds[stage]) || "-"))));
});
