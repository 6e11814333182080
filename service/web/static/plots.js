// Plotly in the page's colours, with words for those who do not see it.
import { byId } from "./dom.js";

const drawn = new Map();
// The page asks for its data while the browser still reads Plotly, which takes it a second.
const plotly = new Promise((resolve, reject) => {
  const script = byId("plotly");
  if (window.Plotly || !script) resolve();
  script?.addEventListener("load", resolve);
  script?.addEventListener("error", () => reject(new Error("charts cannot be drawn: Plotly was not loaded")));
});
plotly.catch(() => {});

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { ink: read("--ink"), line: read("--line"), back: read("--back"), accent: read("--accent"), bad: read("--bad"), good: read("--good"), warn: read("--warn"), soft: read("--soft") };
}

export function palette() {
  const c = colours();
  return [c.accent, c.bad, c.good, c.warn, c.soft];
}

export async function draw(id, make, label) {
  drawn.set(id, [make, label]);
  await plotly;
  paint(id);
}

function paint(id) {
  const [make, label] = drawn.get(id);
  const place = byId(id);
  const c = colours();
  const { data, layout } = make(c);
  const axis = { gridcolor: c.line, zerolinecolor: c.line, linecolor: c.line, automargin: true };
  const themed = {
    paper_bgcolor: c.back, plot_bgcolor: c.back, font: { color: c.ink, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 60, r: 20, t: 30, b: 50 }, legend: { orientation: "h", y: 1.12 }, hovermode: "closest", ...layout,
  };
  for (const name of ["xaxis", "yaxis"]) themed[name] = { ...axis, ...layout?.[name] };
  if (!place.querySelector(".js-plotly-plot, .plot-container")) place.replaceChildren();
  Plotly.react(place, data, themed, { responsive: true, displaylogo: false, displayModeBar: false });
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", label);
}

window.addEventListener("themechange", () => {
  if (window.Plotly) for (const id of drawn.keys()) paint(id);
});

// Widths of every layer, one line per config; removed blocks are gaps at 0.
export function widthTraces(configs, depths) {
  const names = ["stem"];
  depths.forEach((depth, stage) => {
    for (let block = 0; block < depth; block += 1) names.push(`${stage + 1}.${block}.w1`, `${stage + 1}.${block}.w2`, `${stage + 1}.${block}.out`);
  });
  const colors = palette();
  return Object.entries(configs).map(([name, config], at) => {
    const values = [config.stem];
    let block = 0;
    depths.forEach((depth, stage) => {
      for (let index = 0; index < depth; index += 1) values.push(...config.inner[block++], config.stages[stage]);
    });
    return { x: names, y: values, name, mode: "lines+markers", line: { shape: "hvh", color: colors[at % colors.length], dash: name === "dense" ? "dot" : "solid" }, marker: { size: 4 } };
  });
}
