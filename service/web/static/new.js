// A job from a preset: the usual fields, any other change as JSON, and the server's word on it.
import { call, guarded, newKey, send } from "./api.js";
import { byId, fill, h } from "./dom.js";

const FIELDS = [
  ["name", "Name", "letters, digits, - and _"], ["limits.macs", "MACs at most", "a number, or a share of dense as 60%"],
  ["limits.params", "Params at most", "a number, or a share of dense"], ["limits.latency_ms", "Latency at most (ms)", "a number, or a share of dense"],
  ["target.backend", "Runtime", "onnxruntime, tensorrt, openvino, torch, modelled"], ["target.precision", "Precision", "fp32, fp16 or int8"],
  ["target.batch", "Batch", ""], ["target.threads", "CPU threads", ""], ["search.searcher", "Searcher", ""],
  ["search.evaluations", "Evaluations", "configs that are scored"], ["search.finalists", "Finalists", "that are trained"], ["seed", "Seed", ""],
];
const form = byId("job");
let presets = [];
let key = newKey();

const at = (spec, path) => path.split(".").reduce((part, name) => part?.[name], spec);
const input = (path) => byId(`f-${path}`);

function value(text, was) {
  const numeric = text !== "" && !Number.isNaN(Number(text));
  return numeric && (typeof was !== "string" || was.endsWith("%") || was === undefined) ? Number(text) : text;
}

function put(target, path, what) {
  const names = path.split(".");
  const last = names.pop();
  names.reduce((part, name) => (part[name] ??= {}), target)[last] = what;
}

const preset = () => presets.find((one) => one.name === byId("preset").value);

function body() {
  const changes = byId("changes").value.trim() ? JSON.parse(byId("changes").value) : {};
  for (const [path] of FIELDS) {
    const was = at(preset().spec, path);
    const text = input(path).value.trim();
    if (text !== String(was ?? "")) put(changes, path, text === "" ? null : value(text, was));
  }
  return { preset: preset().name, changes, until: input("until").value || null };
}

function mark(field, message) {
  for (const element of form.querySelectorAll("[aria-invalid]")) element.removeAttribute("aria-invalid");
  for (const element of form.querySelectorAll(".error")) element.textContent = "";
  if (!message) return;
  const known = [...FIELDS.map(([path]) => path), "until"];
  const name = known.find((path) => path === field || message.startsWith(`${path} must`)) ?? known.find((path) => path.includes(".") && message.includes(path)) ?? null;
  const place = name ? input(name) : byId("changes");
  place.setAttribute("aria-invalid", "true");
  byId(name ? `e-${name}` : "changes-error").textContent = message;
  place.focus();
}

async function checked() {
  byId("told").textContent = "";
  let wanted = null;
  try {
    wanted = body();
    const found = await send("POST", "/jobs/check", wanted);
    mark(null, null);
    byId("told").textContent = `Stages: ${found.stages.join(", ")}`;
    return wanted;
  } catch (error) {
    if (error instanceof SyntaxError) mark("changes", `changes: ${error.message}`);
    else if (error.status === 422) mark(error.field, error.message);
    else throw error;
    return null;
  }
}

async function show() {
  const one = preset();
  input("until").replaceChildren();
  byId("preset-title").textContent = one.title;
  byId("spec").textContent = JSON.stringify(one.spec, null, 2);
  for (const [path] of FIELDS) input(path).value = at(one.spec, path) ?? "";
  mark(null, null);
  byId("told").textContent = "";
  history.replaceState(null, "", `?preset=${one.name}`);
  const { stages } = await send("POST", "/jobs/check", { preset: one.name, changes: {} });
  if (one === preset()) fill(input("until"), ...stages.toReversed().map((name) => h("option", { value: name }, name)));
}

byId("check").addEventListener("click", () => guarded(checked));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    const wanted = await checked();
    if (!wanted) return;
    byId("submit").disabled = true;
    try {
      const job = await send("POST", "/jobs", wanted, { "Idempotency-Key": key });
      location.assign(`/jobs/${job.id}`);
    } finally {
      byId("submit").disabled = false;
    }
  });
});
form.addEventListener("input", () => { key = newKey(); });

guarded(async () => {
  const [found, searchers] = await Promise.all([call("/presets"), call("/searchers")]);
  presets = found;
  fill(byId("fields"), ...FIELDS.map(([path, label, help]) => h("div", {}, h("label", { for: `f-${path}` }, label),
    path === "search.searcher" ? h("select", { id: `f-${path}`, "aria-describedby": `e-${path}` }, ...searchers.map((s) => h("option", { value: s.name }, `${s.name}: ${s.summary}`)))
      : h("input", { id: `f-${path}`, autocomplete: "off", "aria-describedby": `h-${path} e-${path}` }),
    h("span", { class: "help", id: `h-${path}` }, help), h("span", { class: "error", id: `e-${path}` }))));
  fill(byId("preset"), ...presets.map((one) => h("option", { value: one.name }, one.name)));
  const linked = new URLSearchParams(location.search).get("preset");
  byId("preset").value = presets.some((one) => one.name === linked) ? linked : "quickstart";
  byId("preset").addEventListener("change", () => guarded(show));
  await show();
});
