// The verdict, and of each service what `hopkeeper status` says: who serves, since when, why, who could follow, what is held.

const VERDICTS = { well: "✓ Well", trouble: "! Trouble", stale: "? Unknown" };

function verdict(status, observing) {
  const last = status.lastLook;
  const looked = last ? ["Looked at ", age(last.at), ` (${moment(last.at)}). `] : ["No look is on record. "];
  const due = status.sweep ? ["The last sweep came ", age(status.sweep.at), `; one is due every ${status.sweepSeconds} s.`] : ["No sweep came yet."];
  return h("section", { id: "verdict", class: `verdict ${status.verdict}`, "aria-labelledby": "verdict-title", "data-verdict": status.verdict },
    h("h2", { id: "verdict-title" }, `${VERDICTS[status.verdict]}: ${status.topology}`),
    status.verdict === "stale" && last ? h("p", {}, h("strong", {}, `Nothing has looked since ${moment(last.at)}.`), " What stands below was so then.") : null,
    list(status.reasons),
    h("p", {}, looked, due),
    status.problems.length ? [h("p", {}, "Of its document:"), list(status.problems)] : null,
    observing ? h("p", {}, "Observing only: nothing is changed, and orders are refused.") : null);
}

function who(service, status) {
  const epoch = `epoch ${service.epoch}`;
  if (service.left) return `${service.left.how} by ${service.left.by}: ${service.left.done ? "not managed" : "under way"}`;
  if (service.mode === "active-active") return `every member may serve: ${service.mayServe.join(", ") || "none"} (${epoch})`;
  if (service.holder === null)
    return `NO member serves for certain; ${service.target ? `${service.target} is to serve` : "who serves is being learned"} (${service.phase}, ${epoch})`;
  if (status.verdict === "stale") return `${service.holder} served by the record (${epoch}); whether it does now is unknown`;
  if (service.since === null) return `${service.holder} may serve, not confirmed yet (${service.phase}, ${epoch})`;
  const seen = status.lastLook?.members[service.holder];
  const silent = seen && !seen.reachable;
  return [h("strong", {}, service.holder), silent ? " has the role" : " serves", ` since ${moment(service.since)}, `, age(service.since), ` (${epoch})`, silent ? h("strong", {}, ", and does NOT answer") : null];
}

function sparesOf(service, status) {
  const seen = status.lastLook?.services[service.service];
  if (!seen?.spares || status.lastLook.generation !== status.generation) return null;
  return Object.fromEntries(Object.entries(seen.spares).map(([name, why]) => [name, name in service.drained ? "it is drained" : why]));
}

function spareWords(service, status) {
  const spares = sparesOf(service, status);
  if (status.verdict === "stale" || spares === null || service.mode === "active-active") return null;
  const able = Object.keys(spares).filter((name) => spares[name] === null);
  if (able.length) return able.join(", ");
  return h("strong", { class: "trouble" }, service.members.length === 1 ? "none: it has one member" : "NONE: the next failure is an outage");
}

function sessionsOf(status, name) {
  const sessions = Object.entries(status.lastLook?.members[name]?.sessions ?? {});
  if (!sessions.length) return "not known";
  return list(sessions.map(([address, up]) => `${up ? "●" : "✕"} ${address} ${up ? "Established" : "not Established"}`));
}

function agentOf(status, name) {
  const speaker = status.speakers.find((each) => each.name === name);
  const seen = status.lastLook?.members[name];
  if (!seen) return speaker?.agent === false ? "has no agent" : "not known";
  if (!seen.reachable) return `does not answer: ${seen.reason}`;
  if (seen.fatal.length) return [`fatal: `, list(seen.fatal)];
  const peers = Object.entries(seen.peers ?? {}).map(([peer, view]) => `of ${peer}: gossip ${view.gossip}, probe ${view.probe}`);
  return [seen.ready ? "ready" : "not ready", Math.abs(seen.clockOffsetSeconds ?? 0) > 2 ? `; its clock is ${seen.clockOffsetSeconds} s off` : "", peers.length ? list(peers) : null];
}

function memberRow(service, status, name) {
  const seen = status.lastLook?.services[service.service];
  const backend = seen?.backends[name];
  const stale = status.verdict === "stale";
  const [role, said] = roleOf(service, name, stale);
  const drain = service.drained[name];
  const spare = sparesOf(service, status)?.[name];
  return [
    h("span", {}, name, h("br"), h("small", {}, service.members.find((member) => member.name === name).address)),
    [h("span", { class: `badge ${role}` }, said), drain ? h("p", {}, `until ${moment(drain.until)} by ${drain.by}`) : null, service.owed.includes(name) && role !== "fenced" ? h("p", {}, "a fence of ours is still to be lifted") : null],
    agentOf(status, name),
    backend ? `adminState ${backend.adminState}${backend.reason ? `, ${backend.reason}` : ""}` : (seen?.loadBalancer ?? "not read"),
    sessionsOf(status, name),
    stale ? "not known" : service.holder === name ? "it has the role" : spare === undefined ? "not known" : spare === null ? "yes" : `no: ${spare}`,
  ];
}

// What is held, each reason with the whole of its words; the last part of a reason is its way out.
function heldOf(service, status) {
  const seen = status.lastLook?.services[service.service];
  if (!seen || (seen.outcome === "converged" && !seen.reasons.length)) return null;
  const reasons = seen.reasons.map((reason) => reason.replace(`${service.service}: `, ""));
  return row(status.verdict === "stale" ? `${seen.outcome} then` : seen.outcome, list(reasons) ?? "no reason is given");
}

function events(service, status) {
  const logged = status.lastLook?.services[service.service]?.events ?? [];
  return logged.length ? row("balancer log", list(logged.map((each) => `${moment(each.at)} ${each.kind}: ${each.description}`))) : null;
}

// What the last decision on record was made on, with its age: a pass that changes nothing stores none.
function concluded(service) {
  const entry = histories.get(service.service)?.entries?.at(-1);
  if (!entry?.looked) return null;
  const lines = Object.entries(entry.evidence).map(([name, readings]) => h("li", {}, name, list(readings)));
  return h("details", { "data-key": "concluded" }, h("summary", {}, "Readings and verdicts of the last decision on record, ", age(entry.looked)),
    h("p", { class: "hint" }, "A: its agent; P: what peers say of it; L: the load balancer. The last line of a member is the verdict."), h("ul", {}, lines));
}

function buttons(service, status) {
  if (service.left?.done) return [button("resume", service, null, "Manage it again…")];
  const others = service.members.map((member) => member.name).filter((name) => name !== service.holder);
  const found = [service.paused ? button("resume", service, null, "Resume…") : button("pause", service, null, "Pause…")];
  if (service.mode !== "active-active" && service.holder !== null) found.push(...others.filter((name) => !(name in service.drained)).map((name) => button("switchover", service, name, `Move to ${name}…`)));
  for (const { name } of service.members) found.push(name in service.drained ? button("undrain", service, name, `End the drain of ${name}…`) : button("drain", service, name, `Drain ${name}…`));
  return found;
}

const button = (verb, service, member, words) =>
  h("button", { type: "button", "data-verb": verb, "data-service": service.service, "data-member": member, "data-key": `${verb}-${member}` }, words);

function serviceArticle(service, status) {
  const last = status.lastLook;
  const stale = status.verdict === "stale";
  return h("article", { "data-key": service.service, "data-service": service.service, "data-holder": service.holder ?? "", "aria-labelledby": `service-${service.service}` },
    h("h2", { id: `service-${service.service}` }, service.service, h("small", {}, ` ${service.mode}`)),
    h("p", { class: `who${stale ? " old" : ""}` }, who(service, status)),
    h("dl", {},
      service.operation ? row(service.phase === "stable" ? "why" : "under way", `${service.operation.kind}: ${service.operation.reason}`) : null,
      service.paused ? row("paused", h("strong", { class: "warn" }, `until ${moment(service.paused.until)}`), ` by ${service.paused.by}${service.paused.reason ? `: ${service.paused.reason}` : ""}. Until then nothing is done; “Resume” ends it.`) : null,
      spareWords(service, status) ? row("spare", spareWords(service, status)) : null,
      heldOf(service, status),
      service.automaticFailovers > 0 ? row("failovers", `${service.automaticFailovers} automatic in a row`) : null,
      service.fenced.length ? row("fenced", service.fenced.join(", "), service.fenced.map((name) => h("p", { class: "hint" }, `Where ${name} is gone for good: `, h("code", {}, `hopkeeper forget ${status.topology} ${service.service} ${name}`)))) : null,
      events(service, status)),
    table(["Evidence", last ? [" as of ", moment(last.at), ", ", age(last.at)] : ": none is on record", stale ? ": it says nothing of now" : ""],
      ["Member", "Role", "Its agent", "Load balancer", "Sessions", "Could take over"],
      service.members.map((member) => memberRow(service, status, member.name))),
    concluded(service),
    h("div", { class: "buttons", role: "group", "aria-label": `Orders for ${service.service}` }, buttons(service, status)));
}

function surroundings(status) {
  const last = status.lastLook;
  if (!last) return null;
  const servers = Object.entries(last.routeServers).map(([name, server]) => [
    name, server.outcome, server.taken === null ? "not read" : `${server.taken} of ${server.most} slots taken`,
    Object.entries(server.own).map(([peering, state]) => `${peering}: ${state}`).join("; ") || "none", server.foreign.join(", ") || "none"]);
  const routes = last.routes.verified ? "verified" : last.routes.wrong ? `${last.routes.wrong} wrong` : "not verified yet";
  return h("article", { "data-key": "surroundings" }, h("h2", {}, "Route Servers and routes"),
    table(["As of ", moment(last.at)], ["Route Server", "Outcome", "Slots", "Own peerings", "Foreign"], servers),
    h("p", {}, `Routes: ${routes}`, last.routes.asOf ? ["; the oldest answer is of ", age(last.routes.asOf)] : null, "."),
    list([...last.routes.findings.filter((each) => each.wrong).map((each) => each.sentence), ...last.networks.findings.filter((each) => each.wrong).map((each) => each.sentence), ...last.routes.trouble]));
}

function preflight(status) {
  const last = status.lastLook;
  if (!last) return h("p", {}, "No look is on record.");
  const found = [...last.preflight, ...last.preflightEarlier.map((each) => ({ ...each, severity: `${each.severity} (found earlier)` }))];
  if (!found.length) return h("p", {}, "The last look found nothing that would keep the topology from working.");
  const sign = (severity) => h("span", { class: `badge ${severity.startsWith("error") ? "trouble" : "warn"}` }, severity.startsWith("error") ? "✕ " : "! ", severity);
  return table(["What would keep it from working, as of ", moment(last.at)], ["Rule", "Severity", "What", "The way out", "Where"],
    found.map((each) => [each.rule, sign(each.severity), each.what, each.do, h("code", {}, each.path)]));
}
