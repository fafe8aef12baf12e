// What is shown when: the key, one topology, its status again and again while anybody can see it.

const EVERY = 2000; // where the app cannot say when something changes
const SPACING = 500; // between changes
const OVERVIEW_EVERY = 30_000;
const LOST_AFTER = 12; // seconds without an answer, after which what is shown is of then; a request that fails says so at once
const shown = { topology: null, overview: null, status: null, answered: null, drawn: "", history: "" };
let round = 0;
let waiting = new AbortController();

function announce(text) {
  if (byId("announced").textContent !== text) byId("announced").textContent = text;
}

// The status as it can be believed now: where the app has not answered for a while, as it was then.
function believed() {
  const silent = (Date.now() - shown.answered) / 1000;
  if (!shown.lost && silent < LOST_AFTER) return shown.status;
  return { ...shown.status, verdict: "stale", reasons: [`the app has not answered for ${span(silent)}: ${shown.lost || "no answer yet"}`, ...shown.status.reasons] };
}

function headline(status) {
  return `${status.topology}: ${status.verdict}. ${status.services.map((each) => (status.verdict === "stale" ? `${each.service}: not known` : `${each.service}: ${each.holder ?? "no member"} serves`)).join(". ")}`;
}

function render() {
  if (!shown.status) return;
  const status = believed();
  document.title = `${{ well: "✓", trouble: "!", stale: "?" }[status.verdict]} ${status.topology} · Hopkeeper`;
  byId("view").hidden = false;
  byId("entry").hidden = true;
  morph(byId("verdict"), verdict(status, shown.overview?.observing));
  const width = Math.floor(Math.min(960, byId("drawing").clientWidth || 360));
  show("drawing", draw(status, width));
  show("services", status.services.map((service) => serviceArticle(service, status)), surroundings(status));
  show("preflight", preflight(status));
  show("timeline", timeline(status));
  orderIsCurrent(status);
  announce(headline(status));
}

function navigation() {
  show("topologies", (shown.overview?.topologies ?? []).map((each) =>
    h("a", { href: `#topology/${segment(each.topology)}`, "aria-current": each.topology === shown.topology ? "page" : null }, each.usable ? each.topology : `${each.topology} (unusable)`)));
}

async function choose() {
  const [word, name] = fragment();
  Object.assign(shown, { overview: await api.overview(), overviewAt: Date.now() });
  const names = shown.overview.topologies.map((each) => each.topology);
  const wanted = word === "topology" && names.includes(name) ? name : names.includes(shown.topology) ? shown.topology : names[0];
  if (wanted !== shown.topology) {
    histories.clear();
    Object.assign(shown, { topology: wanted ?? null, status: null, history: "", mark: "" });
  }
  navigation();
}

async function refreshHistory() {
  const { status } = shown;
  const mark = JSON.stringify([status.topology, status.lastLook?.at, status.services.map((each) => [each.epoch, each.phase, each.paused, each.drained])]);
  if (mark === shown.history) return;
  shown.history = mark;
  await Promise.all(status.services.map(({ service }) => loadHistory(status.topology, service)));
}

async function refreshText() {
  if (!byId("text").open || !shown.status) return;
  const lines = await api.lines(shown.topology);
  if (byId("text-lines").textContent !== lines) byId("text-lines").textContent = lines;
}

async function look() {
  const first = !shown.topology;
  if (first || Date.now() - shown.overviewAt > OVERVIEW_EVERY) await choose();
  if (!shown.topology) {
    byId("connection").textContent = "No topology is in force: hopkeeper apply FILE";
    byId("view").hidden = true;
    return;
  }
  const status = await api.status(shown.topology);
  clockOffset = Date.parse(status.asOf) - Date.now();
  Object.assign(shown, { status, answered: Date.now(), lost: "" });
  byId("connection").textContent = "● live";
  byId("forget").hidden = false;
  byId("forget").textContent = kept("key") ? "Forget the key" : "Sign out";
  render();
  await refreshHistory();
  await refreshText();
  render();
  if (first) await explain(shown.topology);
}

function askForKey(why) {
  for (const name of ["key", "session"]) keep(name, "");
  byId("view").hidden = true;
  byId("entry").hidden = false;
  byId("forget").hidden = true;
  byId("connection").textContent = "";
  if (why) show("entry-why", h("strong", { class: "trouble" }, why));
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Until something has changed, or the status is to be read again because it grew older. A key may open the status alone.
async function untilChanged() {
  if (!shown.status || shown.waitsNot === kept("key")) return sleep(EVERY);
  waiting = new AbortController();
  try {
    shown.mark = (await api.changed(shown.topology, shown.mark, waiting.signal)).mark;
    shown.answered = Date.now();
    return await sleep(SPACING);
  } catch (refused) {
    if (refused.name === "AbortError") return null;
    if ([401, 403, 404].includes(refused.code)) shown.waitsNot = kept("key");
    return sleep(EVERY);
  }
}

// One round after the other; a round that was overtaken (hidden, another key, another topology) goes no further.
async function live() {
  const mine = ++round;
  waiting.abort();
  while (mine === round && !document.hidden && (kept("key") || kept("session"))) {
    try {
      await look();
    } catch (refused) {
      if (mine !== round) return;
      if (refused.code === 401 || refused.code === 403) return askForKey(refused.reasons.join("; "));
      if (refused.code === 404) Object.assign(shown, { topology: null, status: null });
      shown.lost = refused.message;
      byId("connection").textContent = `✕ no answer: ${refused.reasons.join("; ")}`;
      if (shown.status) render();
    }
    await untilChanged();
  }
}

document.addEventListener("visibilitychange", () => (document.hidden ? (round++, waiting.abort()) : live()));
addEventListener("hashchange", async () => {
  if (location.hash.startsWith("#topology/")) {
    shown.topology = null;
    await live();
  } else if (shown.topology) await explain(shown.topology);
});
addEventListener("resize", render);
setInterval(() => {
  tick();
  if (shown.status && !document.hidden && believed() !== shown.status) render(); // also while a request hangs
}, 1000);

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep("key", byId("key").value.trim());
  byId("key").value = "";
  live();
});
byId("sign-in").addEventListener("click", () => keep("session", "yes"));
byId("forget").addEventListener("click", () => {
  const session = !kept("key");
  for (const name of ["key", "order-key", "session"]) keep(name, "");
  Object.assign(shown, { topology: null, status: null, overview: null });
  round++;
  askForKey("");
  if (session) location.assign("/.auth/logout?post_logout_redirect_uri=/api/");
});
byId("text").addEventListener("toggle", () => refreshText());
document.addEventListener("click", (event) => {
  const verb = event.target.closest?.("button[data-verb]");
  if (verb) openOrder(believed(), verb.dataset.verb, verb.dataset.service, verb.dataset.member);
  if (event.target.id === "order-close") byId("order").close();
});
document.addEventListener("submit", async (event) => {
  if (event.target.id !== "order-form") return;
  event.preventDefault();
  await giveOrder();
  shown.history = "";
  live();
});

show("legend", legend());
byId("entry").hidden = Boolean(kept("key") || kept("session"));
live();
