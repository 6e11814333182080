// The list of jobs: filters in the address, pages from the server, progress by asking again.
import { call, guarded } from "./api.js";
import { byId, fill, h, state, when } from "./dom.js";

const query = new URLSearchParams(location.search);
const chosen = new Set();
const form = byId("filter");
for (const name of ["state", "name", "user"]) form.elements[name].value = query.get(name) ?? "";

function line(job) {
  const box = h("input", { type: "checkbox", "aria-label": `Select ${job.name} ${job.id}`, onchange: (event) => {
    if (event.target.checked) chosen.add(job.id); else chosen.delete(job.id);
    byId("compare").disabled = chosen.size < 2 || chosen.size > 8;
  } });
  box.checked = chosen.has(job.id);
  const note = job.error ?? job.waits ?? "";
  return h("tr", {}, h("td", {}, box),
    h("td", {}, h("a", { href: `/jobs/${job.id}` }, job.name), h("br"), h("span", { class: "id" }, job.id)),
    h("td", {}, state(job.state)), h("td", {}, job.stage, job.total ? h("progress", { value: job.done, max: job.total, "aria-label": `${job.stage} of ${job.name}: ${Math.floor(100 * job.done / job.total)} %` }) : ""), h("td", {}, note),
    h("td", { class: "number" }, String(job.priority)), h("td", {}, job.user), h("td", {}, when(job.created_at)));
}

async function load() {
  const page = await call(`/jobs?${query}`);
  const focused = document.activeElement?.getAttribute("aria-label");
  fill(byId("jobs"), ...page.jobs.map(line));
  if (focused) document.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  byId("empty").hidden = page.jobs.length > 0;
  const more = byId("more");
  more.hidden = !page.cursor;
  if (page.cursor) {
    const next = new URLSearchParams(query);
    next.set("cursor", page.cursor);
    more.href = `/?${next}`;
  }
  return page.jobs.some((job) => ["queued", "running"].includes(job.state));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  location.assign(`/?${wanted}`);
});
byId("compare").addEventListener("click", () => location.assign(`/compare?${[...chosen].map((id) => `job=${id}`).join("&")}`));

async function forever() {
  const busy = await guarded(load);
  setTimeout(forever, busy === false ? 10000 : 2000);
}
forever();
