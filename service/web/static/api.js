// Calls of the public API, and one place where what went wrong is shown.
const BASE = "/api/v1";

export class Refused extends Error {
  constructor(status, told) {
    super(told.message);
    this.status = status;
    this.field = told.field;
  }
}

export async function call(path, options = {}) {
  const answer = await fetch(BASE + path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  if (answer.status === 401) {
    location.assign("/login");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Refused(answer.status, body.error ?? { message: `the server answers ${answer.status}`, field: null });
  }
  return body;
}

export function send(method, path, body, headers = {}) {
  return call(path, { method, body: JSON.stringify(body ?? {}), headers: { "Content-Type": "application/json", ...headers } });
}

// One key per intent: pressing twice, or a lost answer, is still one job.
export function newKey() {
  return crypto.randomUUID ? crypto.randomUUID() : String(Date.now()) + Math.random();
}

export function problem(error) {
  const place = document.getElementById("problem");
  place.textContent = error.message;
  place.hidden = false;
}

export function clearProblem() {
  document.getElementById("problem").hidden = true;
}

export async function guarded(action) {
  try {
    clearProblem();
    return await action();
  } catch (error) {
    problem(error);
    return undefined;
  }
}

// The parts of this page's path, as the server has them.
export function pathPart(number) {
  return decodeURIComponent(location.pathname.split("/")[number] ?? "");
}
