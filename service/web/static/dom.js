// Elements without markup in strings: nothing that comes from the server is ever parsed as HTML.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

export function fill(element, ...children) {
  element.replaceChildren(...children);
}

export function state(name) {
  return h("span", { class: `state ${name}` }, name);
}

export function number(value, digits = 5) {
  if (value === null || value === undefined) return "-";
  return Number(value).toLocaleString("en", { maximumSignificantDigits: digits });
}

export function when(seconds) {
  return seconds ? new Date(seconds * 1000).toLocaleString("sv") : "";
}

export function took(seconds) {
  if (seconds === null || seconds === undefined) return "";
  return seconds < 90 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`;
}

export const UNITS = { macs: "MACs", params: "params", estimate: "accuracy (estimate)", test: "test accuracy", test_int8: "test accuracy as int8", measured_ms: "ms measured" };

export function unit(metric) {
  return UNITS[metric] ?? (metric.startsWith("latency_ms") ? "ms" : "");
}

export function title(metric) {
  const known = {
    macs: "MACs", params: "Params", estimate: "Estimate (supernet)", test: "Test accuracy (trained)", test_int8: "Test accuracy as INT8",
    measured_ms: "Measured latency, ms", measured_low: "Measured, low end, ms", measured_high: "Measured, high end, ms",
    latency_ms: "Predicted latency, upper bound, ms",
  };
  return known[metric] ?? metric.replace("latency_ms:", "Predicted latency, ms, on ");
}
