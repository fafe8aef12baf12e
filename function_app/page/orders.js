// Orders: each says in a dialog what is now and what will be, and shows the whole of the answer.

const MINUTES = 60;
let ordering = null; // {verb, service, member, epoch, holder}: what the dialog was opened on

// Of each verb: its title, what it does, and the rows [what, now, after].
const ORDERS = {
  pause: (service) => ({
    title: `Pause ${service.service}`,
    does: "Nothing is done to it until the pause ends, also if a member fails meanwhile. A pause ends by itself.",
    rows: [["Who serves", service.holder ?? "not certain", `${service.holder ?? "not certain"}: roles stay as they are`], ["A failure of it", "another member takes over", "is held until the pause ends"]],
    fields: ["minutes", "reason"],
  }),
  resume: (service) => ({
    title: `Resume ${service.service}`,
    does: service.left ? "It is managed again." : "The pause ends now, and what was held is done.",
    rows: [["A failure of the holder", "is held", "another member takes over"]],
    fields: [],
  }),
  switchover: (service, member) => ({
    title: `Move ${service.service} to ${member}`,
    does: "A planned move, by acknowledgement only; back to the old holder if the new one does not serve.",
    rows: service.members.map(({ name }) => [name, roleOf(service, name, false)[1], name === member ? "serves" : "stands by"]),
    fields: [],
  }),
  drain: (service, member) => ({
    title: `Drain ${member}`,
    does: "It does not serve until the drain ends; if it serves now, another one takes over first.",
    rows: service.members.map(({ name }) => [name, roleOf(service, name, false)[1], name === member ? "drained, does not serve" : service.holder === member ? "serves, or stands by for the one that does" : roleOf(service, name, false)[1]]),
    fields: ["minutes"],
  }),
  undrain: (service, member) => ({
    title: `End the drain of ${member}`,
    does: "It may serve again; it does not take the service back by itself.",
    rows: [[member, "drained, does not serve", "stands by"]],
    fields: [],
  }),
};

// What the last look shows against it: the order may be refused for that, or wait, or leave nobody to follow.
function obstacles(status, service, verb, member) {
  const spares = Object.entries(status.lastLook?.services[service.service]?.spares ?? {});
  if (verb === "switchover") return spares.filter(([name, why]) => name === member && why).map(([, why]) => `Keeps it from serving: ${why}`);
  if (verb === "resume" || verb === "undrain" || (verb === "drain" && member !== service.holder && service.holder !== null)) return [];
  if (service.holder === null) return ["No member serves for certain: nothing moves before it is proven which one does not."];
  return spares.length && spares.every(([, why]) => why) ? [`No other member could take over now: ${spares.map(([, why]) => why).join("; ")}`] : [];
}

// The app knows the name of who is signed in, and takes no key with a session.
const signedIn = () => Boolean(kept("session") && !kept("key"));

function openOrder(status, verb, name, member) {
  const service = status.services.find((each) => each.service === name);
  ordering = { topology: status.topology, verb, service: name, member, epoch: service.epoch, holder: service.holder };
  const said = ORDERS[verb](service, member);
  const input = {
    minutes: () => [h("label", { for: "order-minutes" }, "For how many minutes"), h("input", { id: "order-minutes", type: "number", min: 1, max: 43200, value: MINUTES, required: true })],
    reason: () => [h("label", { for: "order-reason" }, "Why, for whoever reads the status"), h("input", { id: "order-reason", maxlength: 200 })],
  };
  byId("order").replaceChildren(
    h("h2", { id: "order-title" }, said.title),
    h("p", {}, said.does),
    status.verdict === "stale" ? h("p", { class: "stale" }, "Nothing is known of now: what stands under “Now” is by the record.") : "",
    table("What changes", ["What", "Now", "After"], said.rows),
    ...obstacles(status, service, verb, member).map((why) => h("p", { class: "stale" }, why)),
    h("form", { id: "order-form" },
      said.fields.map((field) => input[field]()),
      signedIn() ? null : [h("label", { for: "order-by" }, "Your name, for the history"), h("input", { id: "order-by", maxlength: 100, value: kept("by"), required: true, autocomplete: "username" })],
      signedIn() ? null : [h("label", { for: "order-key" }, "A function key that opens orders, if it is another one"), h("input", { id: "order-key", type: "password", autocomplete: "off", value: kept("order-key") })],
      h("div", { id: "order-answer", "aria-live": "polite" }),
      h("div", { class: "buttons" },
        h("button", { type: "submit", class: "strong", id: "order-confirm" }, said.title),
        h("button", { type: "button", id: "order-close" }, "Cancel"))));
  byId("order").showModal();
}

// What changed since the dialog was opened is no longer what was confirmed.
function orderIsCurrent(status) {
  if (!ordering || !byId("order").open || byId("order-confirm").hidden) return;
  const service = status.services.find((each) => each.service === ordering.service);
  if (service && service.epoch === ordering.epoch && service.holder === ordering.holder) return;
  byId("order-confirm").disabled = true;
  byId("order-answer").replaceChildren(refusal({ reasons: [`${ordering.service} has changed since this was opened: ${service?.holder ?? "no member"} serves now, epoch ${service?.epoch}. Close this and look again.`] }));
}

async function giveOrder() {
  const { topology, verb, service, member } = ordering;
  const value = (id) => byId(id)?.value.trim();
  if (byId("order-by")) keep("by", value("order-by"));
  if (byId("order-key")) keep("order-key", value("order-key"));
  const body = { by: value("order-by"), ...(ordering.holder && { expect: ordering.holder }) }; // refused where another one serves by then
  if (byId("order-minutes")) body.minutes = Number(value("order-minutes"));
  if (byId("order-reason")) body.reason = value("order-reason");
  if (verb === "switchover") body.to = member;
  if (verb === "drain" || verb === "undrain") body.member = member;
  byId("order-confirm").disabled = true;
  let said;
  try {
    const answer = await api.order(topology, service, verb, body);
    said = h("div", { class: "accepted" }, h("strong", {}, `The order was ${answer.outcome}.`), list(answer.reasons));
    byId("order-confirm").hidden = true;
    byId("order-close").textContent = "Close";
  } catch (refused) {
    const unknown = refused.code === 0 ? ["whether the order arrived is not known: look at what stands here once the app answers"] : [];
    said = refusal({ ...refused, reasons: [...refused.reasons, ...unknown] });
    byId("order-confirm").disabled = false;
  }
  byId("order-answer").replaceChildren(said);
  return said;
}
