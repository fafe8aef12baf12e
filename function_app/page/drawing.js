// The topology as a drawing: on the left a rail for each end of sessions (Route Server instances, hubs), in the middle Route
// Servers and speakers, on the right services. What a mark means is said by its colour, its shape and its title.

const SESSION = { up: "Established", down: "not Established", unseen: "not known" };

// What a member is to a service: [key, words]. Old evidence is not put into the present tense.
function roleOf(service, name, stale) {
  if (service.left?.done) return ["unmanaged", "not managed"];
  if (service.holder === name) return stale ? ["served", "served by the record"] : service.since === null ? ["granted", "may serve, not confirmed"] : ["serves", "serves"];
  if (service.mode === "active-active" && service.mayServe.includes(name)) return stale ? ["served", "served by the record"] : ["serves", "serves"];
  if (service.fenced.includes(name)) return ["fenced", "fenced at the load balancer"];
  if (service.target === name) return ["target", "is to serve"];
  if (service.mayServe.includes(name)) return ["may", "may still be serving"];
  if (name in service.drained) return ["drained", "drained"];
  return ["standby", "stands by"];
}

function sessionOf(status, speaker, address) {
  if (status.verdict === "stale") return "unseen";
  const up = status.lastLook?.members[speaker]?.sessions?.[address];
  return up === undefined ? "unseen" : up ? "up" : "down";
}

// Everything that a session can end at: {name, address, of} in the order of their rails.
function ends(status) {
  const named = new Set(status.speakers.map((each) => each.name));
  const servers = [...new Set([...Object.keys(status.lastLook?.routeServers ?? {}), ...status.speakers.flatMap((each) => each.peersWith)])].filter((name) => !named.has(name));
  const found = servers.flatMap((name) => {
    const instances = status.lastLook?.routeServers[name]?.instances ?? [];
    return (instances.length ? instances : ["", ""]).map((address) => ({ server: name, address }));
  });
  const hubs = status.speakers.filter((each) => each.role === "hub").map((each) => ({ hub: each.name, address: each.address }));
  return { servers, rails: [...found, ...hubs] };
}

const fit = (text, width, size = 7.2) => (text.length * size <= width ? text : `${text.slice(0, Math.max(1, Math.floor(width / size) - 1))}…`);
const label = (x, y, text, width, cls = "") => s("text", { x, y, class: cls }, s("title", {}, text), fit(text, width, cls.includes("small") ? 6.6 : 7.6));

function mark(state, x, y, title) {
  const said = s("title", {}, title);
  if (state === "up") return s("circle", { cx: x, cy: y, r: 5, class: "up-mark" }, said);
  if (state === "down") return s("path", { d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10`, class: "down-mark" }, said);
  return s("circle", { cx: x, cy: y, r: 4, class: "unseen-mark" }, said);
}

function slots(server, seen, x, y, width) {
  const most = seen?.most ?? 8;
  const own = Object.entries(seen?.own ?? {});
  const foreign = seen?.foreign ?? [];
  const size = Math.min(18, Math.floor((width - 8) / most) - 3);
  const taken = [...own.map(([name, state]) => ["ours", name, state]), ...foreign.map((name) => ["foreign", name, "of another owner"])];
  return Array.from({ length: Math.max(most, taken.length) }, (_, at) => {
    const [kind, name, state] = taken[at] ?? ["free", seen ? "free" : "not read", ""];
    const left = x + at * (size + 3);
    const ill = kind === "ours" && state !== "Succeeded";
    return s("g", {}, s("title", {}, `slot ${at + 1} of ${server}: ${name}${state ? `, ${state}` : ""}`),
      s("rect", { x: left, y, width: size, height: size, class: `slot ${kind}${ill ? " ill" : ""}` }),
      ill ? s("path", { d: `M${left + 3} ${y + 3}l${size - 6} ${size - 6}m0 ${6 - size}l${6 - size} ${size - 6}`, class: "slot-cross" }) : null,
      kind === "foreign" ? s("path", { d: `M${left} ${y + size}L${left + size} ${y}`, class: "slot-foreign" }) : null);
  });
}

function drawServer(plan, name, rails) {
  const { status, left, width } = plan;
  const seen = status.lastLook?.routeServers[name];
  const top = plan.y;
  const height = 56 + rails.length * 24;
  plan.y += height + 14;
  const read = seen && seen.taken !== null && status.verdict !== "stale";
  const parts = [
    s("rect", { x: left, y: top, width, height, rx: 6, class: `box${read ? "" : " unsure"}` }),
    label(left + 10, top + 20, `${name} (Route Server)`, width - 20, "name"),
    slots(name, seen, left + 10, top + 28, width - 20),
    rails.map((rail, at) => {
      rail.y = top + 62 + at * 24;
      rail.start = rail.y;
      return [s("path", { d: `M${rail.x} ${rail.y}H${left}`, class: "rail" }), label(left + 10, rail.y + 4, `instance ${rail.address || "not read"}`, width - 20, "small")];
    }),
  ];
  return s("g", {}, parts);
}

function stateOf(status, speaker, roles) {
  const seen = status.lastLook?.members[speaker.name];
  if (status.verdict === "stale" || (speaker.agent && !seen)) return ["unsure", "not known since the last look"];
  if (seen && !seen.reachable) return ["gone", `does not answer: ${seen.reason}`];
  if (seen?.fatal?.length) return ["gone", `failed: ${seen.fatal.join("; ")}`];
  if (roles.some(([, [role]]) => role === "drained")) return ["drained", "drained"];
  if (!speaker.agent) return ["", "has no agent"];
  return ["", seen.ready ? "ready" : "not ready"];
}

function drawSpeaker(plan, speaker) {
  const { status, left, width } = plan;
  const top = plan.y;
  const mine = plan.services.filter((service) => service.members.some((member) => member.name === speaker.name));
  const roles = mine.map((service) => [service, roleOf(service, speaker.name, status.verdict === "stale")]);
  const ends = plan.rails.filter((rail) => (rail.server ? speaker.peersWith.includes(rail.server) : speaker.peersWith.includes(rail.hub)));
  const height = Math.max(80, 22 * ends.length + 12, 22 * roles.length + 30);
  plan.y += height + 12;
  const [state, why] = stateOf(status, speaker, roles);
  const serving = roles.some(([, [role]]) => role === "serves");
  const on = serving && !state ? " on-serving" : "";
  const hub = plan.rails.find((rail) => rail.hub === speaker.name);
  if (hub) hub.start = hub.y = top + 8;
  const words = serving ? "SERVES" : roles.length ? roles[0][1][1] : speaker.role;
  return s("g", { "data-speaker": speaker.name, "data-state": serving ? "serves" : (roles[0]?.[1][0] ?? speaker.role) },
    s("title", {}, `${speaker.name}: ${roles.map(([service, [, said]]) => `${service.service}: ${said}`).join("; ") || speaker.role}; ${why}`),
    s("rect", { x: left, y: top, width, height, rx: 6, class: `box ${serving && !state ? "serving" : state}` }),
    label(left + 10, top + 20, `${serving ? "▶ " : ""}${speaker.name}`, width - 20, `name${on}`),
    label(left + 10, top + 38, words, width - 20, serving ? `name${on}` : ""),
    label(left + 10, top + 55, speaker.role === "hub" ? `hub, ${why}` : why, width - 20, `small${on}`),
    label(left + 10, top + 69, `${speaker.address} AS${speaker.asn}`, width - 20, `small${on}`),
    hub ? [s("path", { d: `M${hub.x} ${hub.y}H${left}`, class: "rail" }), s("rect", { x: hub.x - 4, y: hub.y - 4, width: 8, height: 8, class: "up-mark" })] : null,
    ends.map((rail, at) => {
      const y = top + ((at + 1) * height) / (ends.length + 1);
      rail.end = Math.max(rail.end ?? 0, y);
      const session = sessionOf(status, speaker.name, rail.address);
      return [s("path", { d: `M${rail.x} ${y}H${left}`, class: session }), mark(session, rail.x, y, `session of ${speaker.name} with ${rail.server ?? rail.hub} ${rail.address}: ${SESSION[session]}`)];
    }),
    roles.map(([service, [role, said]], at) => drawTap(plan, service, speaker.name, role, said, top + ((at + 1) * height) / (roles.length + 1))));
}

function drawTap(plan, service, member, role, said, y) {
  const from = plan.left + plan.width;
  const rail = plan.buses.get(service.service);
  rail.taps.push({ y, role });
  const title = s("title", {}, `${member} for ${service.service}: ${said}`);
  const down = plan.status.lastLook?.services[service.service]?.backends[member]?.adminState === "Down" && plan.status.verdict !== "stale";
  const middle = (from + rail.x) / 2;
  return [
    s("path", { d: `M${from} ${y}H${rail.x}`, class: role === "serves" ? "carries" : "waits" }, title),
    role === "fenced" || down ? s("path", { d: `M${middle - 4} ${y - 11}v22M${middle + 4} ${y - 11}v22`, class: "fence" }, s("title", {}, `${member} is fenced: adminState Down at ${service.balancer}`)) : null,
    role === "drained" ? s("path", { d: `M${middle} ${y - 6}v12`, class: "down" }, s("title", {}, `${member} is drained`)) : null,
  ];
}

function drawService(plan, service) {
  const rail = plan.buses.get(service.service);
  const { x, width } = plan.right;
  const front = service.balancer ? 38 : 0; // of the load balancer, above the service
  const height = 72 + front;
  const taps = rail.taps.map((tap) => tap.y);
  const top = Math.max(plan.right.y, taps.length ? (Math.min(...taps) + Math.max(...taps)) / 2 - height / 2 : plan.right.y);
  plan.right.y = top + height + 12;
  const y = service.balancer ? top + 15 : top + height / 2;
  const serving = rail.taps.filter((tap) => tap.role === "serves");
  const held = plan.status.verdict !== "stale" && ["held", "refused", "failed"].includes(plan.status.lastLook?.services[service.service]?.outcome);
  const who = service.left?.done ? "not managed" : plan.status.verdict === "stale" ? `${service.holder ?? "none"}: by the record`
    : serving.length ? `${service.mode === "active-active" ? service.mayServe.join(", ") : service.holder} serves` : service.target ? `${service.target} is to serve` : "none serves for certain";
  return s("g", {},
    taps.length ? s("path", { d: `M${rail.x} ${Math.min(y, ...taps)}V${Math.max(y, ...taps)}M${rail.x} ${y}H${x}`, class: "waits" }) : null,
    serving.map((tap) => s("path", { d: `M${rail.x} ${tap.y}V${y}H${x - 10}`, class: "carries", "stroke-linejoin": "round" })),
    serving.length ? s("path", { d: `M${x - 12} ${y - 9}l12 9l-12 9z`, class: "carries-mark" }) : null,
    service.balancer ? [s("rect", { x, y: top, width, height: 30, class: "box" }), s("path", { d: `M${x + width / 2} ${top + 30}v8`, class: serving.length ? "carries" : "waits" }), label(x + 12, top + 20, `⇶ ${service.balancer}`, width - 24)] : null,
    s("rect", { x, y: top + front, width, height: height - front, rx: 16, class: `box${held || (!serving.length && plan.status.verdict !== "stale") ? " gone" : ""}${plan.status.verdict === "stale" ? " unsure" : ""}` }),
    label(x + 12, top + front + 20, service.service, width - 24, "name"),
    label(x + 12, top + front + 37, who, width - 24),
    label(x + 12, top + front + 52, `next hop ${plan.status.lastLook?.services[service.service]?.nextHop ?? (service.balancer ? "its frontend" : "a member")}`, width - 24, "small"),
    label(x + 12, top + front + 66, service.paused ? `PAUSED until ${moment(service.paused.until)}` : held ? "HELD" : `${service.phase}, epoch ${service.epoch}`, width - 24, "small"));
}

function inOrder(status) {
  const rank = (each) => (each.role === "hub" ? 0 : status.services.some((service) => service.members.some((member) => member.name === each.name)) ? 1 : 2);
  return [...status.speakers].sort((a, b) => rank(a) - rank(b));
}

function draw(status, total) {
  const { servers, rails } = ends(status);
  const services = status.services;
  const wide = total >= 640;
  const left = 14 + rails.length * (wide ? 24 : 16);
  const gap = services.length ? (wide ? 60 : 34) + services.length * (wide ? 22 : 14) : 0;
  const room = total - left - gap - 2;
  const width = services.length ? Math.floor(room * (wide ? 0.5 : 0.54)) : room;
  rails.forEach((rail, at) => (rail.x = 12 + at * (wide ? 24 : 16)));
  const plan = { status, services, rails, left, width, y: 4, buses: new Map(), right: { x: left + width + gap, width: room - width, y: 4 } };
  services.forEach((service, at) => plan.buses.set(service.service, { x: left + width + gap - 22 - at * (wide ? 22 : 14), taps: [] }));
  const boxes = [
    servers.map((name) => drawServer(plan, name, rails.filter((rail) => rail.server === name))),
    inOrder(status).map((speaker) => drawSpeaker(plan, speaker)),
  ];
  const ofServices = services.map((service) => drawService(plan, service));
  const bars = rails.filter((rail) => rail.end).map((rail) => s("path", { d: `M${rail.x} ${Math.min(rail.start, rail.end)}V${Math.max(rail.start, rail.end)}`, class: "rail" }));
  const height = Math.max(plan.y, plan.right.y);
  return s("svg", { class: "topology", viewBox: `0 0 ${total} ${height}`, width: total, height, role: "img", "aria-labelledby": "topology-said" },
    s("title", { id: "topology-said" }, inWords(status)), bars, boxes, ofServices);
}

// The drawing for those who do not see it; all of it stands in the tables below, too.
function inWords(status) {
  const stale = status.verdict === "stale";
  const said = status.services.map((service) => `${service.service}: ${service.members.map((member) => `${member.name} ${roleOf(service, member.name, stale)[1]}`).join(", ")}`);
  const sessions = status.speakers.flatMap((each) => Object.values(status.lastLook?.members[each.name]?.sessions ?? {}));
  const up = stale ? "sessions are not known" : `${sessions.filter(Boolean).length} of ${sessions.length} sessions are Established`;
  return `Topology ${status.topology}. ${said.join(". ")}. ${up}.`;
}

function legend() {
  const line = (cls, extra) => s("svg", { viewBox: "0 0 44 16", "aria-hidden": "true" }, s("path", { d: "M2 8H42", class: cls }), extra);
  const item = (picture, words) => h("li", {}, picture, words);
  return h("ul", { class: "legend", "aria-label": "Marks of the drawing" },
    item(line("up", mark("up", 22, 8, "")), "session Established"),
    item(line("down", mark("down", 22, 8, "")), "session not Established"),
    item(line("unseen", mark("unseen", 22, 8, "")), "not known"),
    item(line("carries"), "new flows go here"),
    item(line("waits"), "stands by"),
    item(line("waits", s("path", { d: "M18 1v14M26 1v14", class: "fence" })), "fenced"),
    item(s("svg", { viewBox: "0 0 44 16", "aria-hidden": "true" }, s("rect", { x: 1, y: 1, width: 13, height: 13, class: "slot ours" }), s("rect", { x: 16, y: 1, width: 13, height: 13, class: "slot" }), s("path", { d: "M16 14L29 1", class: "slot-foreign" }), s("rect", { x: 30, y: 1, width: 13, height: 13, class: "slot" })), "slot: ours, foreign, free"));
}
