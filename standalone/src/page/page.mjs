// Two people talk, or a group, each through the node that is theirs. Everything here goes through the published client
// and GET /ring; text of people is only ever put in as text.

import { createClient } from "./ringdial.min.js";
import { colourOf, figureOn } from "./figure.mjs";
import { readRing } from "./ring.mjs";

const RING_EVERY_MS = 3_000;
const MESSAGES_MAX = 500;
const NAMES = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

const part = (id) => document.getElementById(id);
const [start, talk, messages, text] = [part("start"), part("talk"), part("messages"), part("text")];
const figure = figureOn(part("ring"));
const fold = (name) => name.trim().normalize("NFC");
const groupOf = (name) => /^g:(.+)/.exec(name)?.[1];

let ring, client, me = "", to = "";
/** What this window said in a group, which the group says to it again. */
let own = new Set();

// --- the ring ---

async function readTheRing() {
  try {
    const answer = await fetch("ring", { cache: "no-cache" });
    if (!answer.ok) return;
    const published = await answer.json();
    if (published.version !== ring?.version) ring = readRing(published);
  } catch {
    // Away for the moment: the old picture stays, and the status says the rest.
  }
  showRing();
}

function showRing() {
  if (!ring) return;
  const people = [...new Set([me, to])].filter(Boolean).map((name) => ({ name, ...ring.home(name) }));
  figure.show(ring, people);
  const here = client?.status.node;
  part("nodes").replaceChildren(...ring.nodes.map((node) => {
    const who = people.filter((person) => (person.name === me && here ? here : person.node?.id) === node.id).map(({ name }) => (name === me ? `${name} (you)` : name));
    const swatch = element("i");
    swatch.style.background = colourOf(node);
    return element("li", "", swatch, element("span", "", node.id), element("span", "who", who.join(", ")), element("span", "share", `${(ring.share(node) * 100).toFixed(1)} %`));
  }));
  showRoute(here);
}

function showRoute(here) {
  const home = to && ring.home(to).node?.id;
  if (!home) return part("route").replaceChildren();
  if (!here) return part("route").replaceChildren(to, "'s home is ", element("b", "", home), ".");
  const straight = here === home ? `Both are on ${here}: a message does not leave it.` : `A message goes from ${here} straight to ${home}: one hop, nobody is asked on the way.`;
  const way = groupOf(to) ? `A message goes to ${home}, and from there once to each node that has members.` : straight;
  part("route").replaceChildren("You are on ", element("b", "", here), ", ", to, "'s home is ", element("b", "", home), ". ", way);
}

// --- the connection ---

part("join").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(fold(part("me").value), fold(part("to").value));
});

/** Where the names fall is shown while they are typed. */
function typed() {
  [me, to] = [fold(part("me").value), fold(part("to").value)];
  part("example").textContent = encodeURIComponent(me);
  showRing();
}

part("join").addEventListener("input", typed);

part("leave").addEventListener("click", () => end());

function begin(name, partner) {
  if (!name || !partner) return;
  [me, to] = [name, partner];
  const here = new URLSearchParams({ me, to });
  const group = groupOf(to);
  const guest = NAMES[(NAMES.indexOf(me) + 1) % NAMES.length];
  const there = new URLSearchParams(group ? { me: guest, to } : { me: to, to: me });
  history.replaceState(null, "", `#${here}`);
  document.title = `${me} to ${to} · Ringdial`;
  part("other").href = `#${there}`;
  part("other").textContent = `Open ${group ? guest : to}'s window`;
  text.placeholder = `Message to ${to}`;
  text.setAttribute("aria-label", text.placeholder);
  [start.hidden, talk.hidden, part("invitation").hidden] = [true, false, false];
  part("roster").hidden = true;
  messages.replaceChildren();
  own = new Set();
  text.focus();

  const token = part("token").value;
  client = createClient({ lookup: new URL("lookup", location.href).href.split("#")[0], id: me, ...(token && { token }) });
  const mine = client;
  const current = (act) => (value) => mine === client && act(value);
  client.on("status", current(showStatus));
  if (group) join(mine, group, current);
  client.on("gap", current(({ topic }) => remark(`Some of what was said in ${topic} is no longer there.`)));
  client.on("moved", current(({ from, to }) => remark(`Moved from ${from} to ${to}.`)));
  // What stops the client is told by its status; what is here is being dealt with.
  client.connect().catch(() => {});
  void readInbox(mine, current);
}

/** @param {{ code: string, message: string } | undefined} refusal why, if not by choice */
function end(refusal) {
  const ending = client;
  client = undefined;
  void ending?.close();
  [start.hidden, talk.hidden] = [false, true];
  const told = part("refusal");
  told.hidden = !refusal;
  told.textContent = refusal ? `${refusal.message} (${refusal.code})` : "";
  if (refusal?.code === "auth") part("token-field").hidden = false;
  (refusal?.code === "auth" ? part("token") : part("me")).focus();
  document.title = "Ringdial";
  history.replaceState(null, "", location.pathname);
  showRing();
}

function showStatus(status) {
  const words = {
    idle: "Not connected",
    connecting: "Looking up and connecting…",
    connected: `${me}: connected to ${status.node}`,
    reconnecting: `Connection lost, trying again (${status.attempt})…`,
    closed: "Closed",
  };
  part("status").textContent = words[status.state];
  part("status").dataset.state = status.state;
  if (status.state === "closed" && status.cause) return end(status.cause);
  if (status.state === "connected") void readTheRing();
  else showRing();
}

// --- the talk ---

/** What the log holds, and then what comes. */
async function readInbox(mine, current) {
  const { entries, epoch, offset = 0 } = await mine.history({ limit: 50 }).catch(() => ({ entries: [] }));
  if (mine === client) for (const entry of [...entries].reverse()) received({ ...entry, replayed: true });
  // What came between the connection and that answer is in both.
  mine.on("message", current((message) => (message.epoch === epoch && message.offset <= offset) || received(message)));
}

function join(mine, name, current) {
  const room = mine.group(name, { presence: true, since: { offset: 0 } });
  let users = [];
  room.on("message", current(received));
  room.on("gap", current(() => remark("Some of what was said before is no longer there.")));
  room.on("presence", current(({ count, users: all, joined = [], left = [] }) => {
    users = [...new Set([...(all ?? users), ...joined])].filter((user) => !left.includes(user));
    part("roster").textContent = `In ${to}: ${users.length === count ? users.join(", ") : `${count} people`}`;
    part("roster").hidden = false;
  }));
  room.joined.catch((error) => current(remark)(`${to} was not joined: ${error.message} (${error.code})`));
}

part("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = text.value;
  if (!said.trim() || !client) return;
  text.value = "";
  const line = add("mine", said, "sending…");
  figure.fly(me, to);
  try {
    const name = Math.random().toString(36).slice(2);
    own.add(name);
    const group = groupOf(to);
    const { online = 0, offset } = await client.send(group ? { group } : { user: to }, { text: said, name });
    const home = ring?.home(to).node?.id;
    const count = online === 1 ? "1 window" : `${online} windows`;
    const stored = offset ? `stored as number ${offset}` : "not stored";
    caption(line, online > 0 ? `✓ ${stored}, passed on by ${home} to ${count} of ${to}` : `✓ ${stored} by ${home} until ${to} has a window open`, !offset && online === 0);
    if (online > 0) part("invitation").hidden = true;
  } catch (error) {
    caption(line, `not sent: ${error.message} (${error.code})`, true);
  }
});

function received({ topic = "", from, data, time, replayed }) {
  if (topic === to && from === me && own.has(data?.name)) return;
  const said = typeof data?.text === "string" ? data.text : JSON.stringify(data);
  const home = from && ring?.home(from).node?.id;
  const where = replayed ? ", from the log" : home ? `, from ${home}` : "";
  add(topic === to && from === me ? "mine" : "theirs", said, `${from || "a server"}${where}, ${new Date(time).toLocaleTimeString()}`);
  if (!replayed && from && from !== me) figure.fly(topic === to ? to : from, me);
  if (from === to) part("invitation").hidden = true;
}

function remark(words) {
  show(element("li", "event", words));
}

function add(kind, said, words) {
  const line = element("li", kind, element("p", "", said), element("small", "", words));
  show(line);
  return line;
}

function caption(line, words, bad) {
  line.lastElementChild.textContent = words;
  line.classList.toggle("bad", bad);
}

function show(line) {
  const atEnd = messages.scrollHeight - messages.scrollTop - messages.clientHeight < 60;
  messages.append(line);
  while (messages.children.length > MESSAGES_MAX) messages.firstElementChild.remove();
  if (atEnd || line.className === "mine") messages.scrollTop = messages.scrollHeight;
}

/** Children that are strings become text, never markup. */
function element(name, className = "", ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

// --- the beginning ---

addEventListener("pageshow", () => client?.wake());
addEventListener("online", () => client?.wake());
document.addEventListener("visibilitychange", () => document.hidden || client?.wake());
setInterval(() => (client || !ring) && !document.hidden && readTheRing(), RING_EVERY_MS);

const given = new URLSearchParams(location.hash.slice(1));
part("me").value = given.get("me") ?? NAMES[0];
part("to").value = given.get("to") ?? "";
typed();
part("me").select();
await readTheRing();
// Somebody on another node, so that there is a hop to be seen; but nothing is put over what was typed meanwhile.
const elsewhere = (name) => ring && ring.home(name).node?.id !== ring.home(part("me").value).node?.id;
part("to").value ||= NAMES.slice(1).find(elsewhere) ?? NAMES[1];
typed();
if (given.has("me") && given.has("to") && !client) begin(fold(given.get("me")), fold(given.get("to")));
