// The app's HTTP API. What it answers is data; only the words in it are shown, as text.

const API = `${location.pathname.replace(/\/+$/, "")}/`;
const kept = (name) => sessionStorage.getItem(`hopkeeper.${name}`) ?? "";
const keep = (name, value) => (value ? sessionStorage.setItem(`hopkeeper.${name}`, value) : sessionStorage.removeItem(`hopkeeper.${name}`));

// An answer that is none, with everything that it says why.
class Refused extends Error {
  constructor(code, reasons) {
    super(reasons[0] ?? `the app answers ${code}`);
    this.code = code;
    this.reasons = reasons;
  }
}

// Everything that an error says why, and an order that was refused; the platform's own answers say nothing.
function reasonsOf(said, code) {
  const { message, problems = [], causes = [] } = said?.error ?? {};
  const lines = [message, ...problems.map((each) => `${each.path}: ${each.rule}`), ...causes, ...(said?.reasons ?? [])];
  const found = [...new Set(lines.filter(Boolean))];
  return found.length ? found : [code === 401 ? "the key does not open this function of the app" : `the app answers ${code} and no reason${code === 403 ? ": it does not admit this machine, or the session" : ""}`];
}

// With a function key, else with the platform's session, for which the same paths are below entra/.
async function request(method, path, { body, text = false, key = "key", signal } = {}) {
  const headers = { Accept: text ? "text/plain" : "application/json" };
  const shown = kept("key") && (kept(key) || kept("key"));
  if (shown) headers["x-functions-key"] = shown;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`${API}${shown ? "" : "entra/"}${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, [`the app cannot be reached: ${error.message}`]);
  }
  const said = await answer.text();
  if (answer.ok && text) return said;
  let read = null;
  try { read = JSON.parse(said); } catch { /* an answer of the platform, which is no JSON */ }
  if (!answer.ok) throw new Refused(answer.status, reasonsOf(read, answer.status));
  return read;
}

const WAIT = 5; // seconds: what is stored does not change when it becomes old, so that the status is read again without a change
const PASSES = 100; // of a service's history, the last ones
const segment = encodeURIComponent;
const api = {
  overview: () => request("GET", "status"),
  status: (topology) => request("GET", `status/${segment(topology)}`),
  changed: (topology, mark, signal) => request("GET", `topologies/${segment(topology)}/events?wait=${WAIT}${mark ? `&after=${segment(mark)}` : ""}`, { signal }),
  lines: (topology) => request("GET", `status/${segment(topology)}`, { text: true }),
  history: (topology, service) => request("GET", `topologies/${segment(topology)}/services/${segment(service)}/history?most=${PASSES}`),
  explain: (topology, service, at) =>
    request("GET", `topologies/${segment(topology)}/services/${segment(service)}/explain${at ? `?at=${segment(at)}` : ""}`, { text: true }),
  order: (topology, service, verb, body) =>
    request("POST", `topologies/${segment(topology)}/services/${segment(service)}/${verb}`, { body, key: "order-key" }),
};
