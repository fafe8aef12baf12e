// What was decided, the newest first: operations with their phases, then everything else, each linked to its explanation.

const SHOWN = 20;
const PHASES = ["reported → decided", "decided → old holder proven out", "proven → promoted", "promoted → confirmed"];
const histories = new Map(); // by service: {entries} or {refused}

async function loadHistory(topology, service) {
  try {
    const { entries } = await api.history(topology, service);
    histories.set(service, { entries });
  } catch (refused) {
    histories.set(service, { refused });
  }
}

// Steps of one epoch are one operation; what changed no epoch stands alone, and alike entries in a row are one.
function happenings(entries) {
  const found = [];
  const byEpoch = new Map();
  for (const entry of entries) {
    const moving = entry.steps.filter((step) => !/^(stable|learn) → (stable|learn)$/.test(step.phase) || /→ (fencing|granted)/.test(step.phase));
    const epoch = moving.at(-1)?.epoch;
    const key = `${entry.outcome} ${entry.reasons.join()}`;
    if (moving.length && byEpoch.has(epoch)) byEpoch.get(epoch).entries.push(entry);
    else if (moving.length) {
      const one = { epoch, entries: [entry], service: entry.service };
      byEpoch.set(epoch, one);
      found.push(one);
    } else if (found.length && found.at(-1).key === key) found.at(-1).entries.push(entry);
    else found.push({ entries: [entry], service: entry.service, key });
  }
  return found;
}

function phasesOf(one) {
  const steps = one.entries.flatMap((entry) => entry.steps.map((step) => ({ ...step, entry }))).filter((step) => step.epoch === one.epoch);
  const opened = steps.find((step) => step.phase.endsWith("→ fencing"));
  const granted = steps.find((step) => step.phase === "fencing → granted");
  const confirmed = steps.find((step) => step.phase === "granted → stable");
  const times = [opened?.entry.woken, opened?.at, granted?.at, granted?.performed, confirmed?.at].map((at) => (at ? Date.parse(at) : null));
  return PHASES.map((name, at) => ({ name, seconds: times[at] !== null && times[at + 1] !== null ? Math.max(0, times[at + 1] - times[at]) / 1000 : null }));
}

function bar(phases) {
  const total = phases.reduce((sum, phase) => sum + (phase.seconds ?? 0), 0) || 1;
  let x = 0;
  const parts = phases.map((phase, at) => {
    const width = ((phase.seconds ?? 0) / total) * 100;
    const drawn = s("rect", { x, y: 0, width, height: 10, class: `phase-${at}` }, s("title", {}, `${phase.name}: ${phase.seconds ?? "?"} s`));
    x += width;
    return drawn;
  });
  return h("div", { class: "bar", "aria-hidden": "true" }, s("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" }, parts));
}

function titleOf(one) {
  const operation = one.entries.flatMap((entry) => entry.steps).map((step) => step.operation).find((said) => one.epoch !== undefined && new RegExp(`epoch ${one.epoch}\\b`).test(said));
  const parsed = /^(.*?), opened [^ ]+ [^ ]+: (.*)$/.exec(operation ?? "");
  const because = [...new Set(one.entries.flatMap((entry) => entry.steps.flatMap((step) => step.because)))];
  const reasons = [...new Set(one.entries.at(-1).reasons.map((reason) => reason.replace(`${one.service}: `, "")))];
  return { title: parsed?.[1] ?? because[0] ?? reasons[0] ?? one.entries.at(-1).outcome, why: [parsed?.[2], ...because, ...(one.entries.at(-1).outcome === "converged" ? [] : reasons)].filter(Boolean) };
}

function happening(one) {
  const first = one.entries.find((entry) => entry.steps.some((step) => step.phase.endsWith("→ fencing"))) ?? one.entries[0];
  const last = one.entries.at(-1);
  const { title, why } = titleOf(one);
  const phases = one.epoch === undefined ? [] : phasesOf(one);
  const known = phases.filter((phase) => phase.seconds !== null);
  const held = one.entries.some((entry) => ["held", "refused", "failed"].includes(entry.outcome));
  const at = first.started;
  return h("li", { class: `entry ${known.length ? "moved" : held ? "held" : ""}`, "data-key": `${one.service}-${first.started}`, "data-epoch": one.epoch },
    h("h3", {}, h("time", { datetime: at }, moment(at)), ` ${one.service}: ${title}`),
    h("p", {}, `${last.outcome}; woken by ${first.trigger}${one.entries.length > 1 ? `; ${one.entries.length} passes, the last ${moment(last.ended)}` : ""}`),
    why.length ? h("details", {}, h("summary", {}, "Reasons and proofs"), list([...new Set(why)])) : null,
    known.length ? [bar(phases), h("p", {}, known.map((phase) => `${phase.name}: ${phase.seconds.toFixed(2)} s`).join("; "))] : null,
    h("p", {}, h("a", { href: `#explain/${segment(one.service)}/${segment(at)}` }, "Explain", h("span", { class: "spoken" }, ` ${one.service} at ${moment(at)}`))));
}

function timeline(status) {
  const found = [];
  const notes = [];
  for (const { service } of status.services) {
    const held = histories.get(service);
    if (held?.refused) notes.push(h("p", {}, `The history of ${service} was refused: ${held.refused.reasons.join("; ")}`));
    else if (held) found.push(...happenings(held.entries));
    if (held?.entries?.length === PASSES)
      notes.push(h("p", { class: "hint" }, `Of ${service} the last ${PASSES} passes that decided anything, since ${moment(held.entries[0].started)}. What was before: `, h("code", {}, `hopkeeper history ${status.topology} ${service} --most 1000`)));
  }
  found.sort((a, b) => (a.entries[0].started < b.entries[0].started ? 1 : -1));
  const links = status.services.map(({ service }) => h("a", { href: `#explain/${segment(service)}` }, `Explain ${service} as it is`));
  const moves = found.filter((one) => one.epoch !== undefined).slice(0, SHOWN);
  const others = found.filter((one) => one.epoch === undefined).slice(0, SHOWN);
  return [h("p", {}, links.flatMap((link) => [link, " "])), notes,
    moves.length ? h("ol", { "aria-label": "Operations" }, moves.map(happening)) : h("p", {}, "No operation is on record yet."),
    others.length ? h("details", { "data-key": "others" }, h("summary", {}, `Everything else that was decided: ${others.length === SHOWN ? `the last ${SHOWN}` : others.length}`), h("ol", {}, others.map(happening))) : null];
}

// #explain/SERVICE/AT: the explanation of a moment, or without one of the last pass.
async function explain(topology) {
  const [word, service, at] = fragment();
  if (word !== "explain" || !service) return show("explanation");
  const title = h("h3", { id: "explanation-title" }, `Why ${service} ${at ? `was as it was at ${moment(at)}` : "is as it is"}`);
  let said;
  try {
    said = h("pre", { tabindex: "0", "aria-labelledby": "explanation-title" }, await api.explain(topology, service, at));
  } catch (refused) {
    said = refusal(refused);
  }
  show("explanation", title, said, h("p", {}, h("a", { href: "#timeline-title" }, "Back to the list")));
  byId("explanation").focus({ preventScroll: true });
  byId("explanation").scrollIntoView({ block: "start" });
}

const refusal = ({ code, reasons }) => h("div", { class: "refusal", role: "alert" }, h("strong", {}, code === 0 ? "No answer" : "Refused"), list(reasons));
