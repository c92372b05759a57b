// What the npm client has around it in a simulation: sockets, lookups, timers, the clock and chance. Nothing here decides:
// what the client does is said to the simulation as acts, and what the simulation tells it is passed on.
import { createClient } from "./index.js";

/** Acts since they were asked for last. */
let acts = [];
let now = 0;
let count = 0;
const timers = new Map();
const sockets = new Map();
const lookups = new Map();
const clients = new Map();

const act = (name, fields) => acts.push({ act: name, ...fields });
const wrong = (error) => act("wrong", { text: `${error?.stack ?? ""} ${error}` });

globalThis.setTimeout = (run, ms = 0) => {
  timers.set(++count, run);
  act("timer", { timer: count, ms: Math.max(1, Math.ceil(ms)) });
  return count;
};
globalThis.clearTimeout = (timer) => void timers.delete(timer);
// A listener that throws is reported, as platforms do, and breaks nothing.
globalThis.queueMicrotask = (run) => void Promise.resolve().then(run).catch(wrong);
// Enough for the addresses of a simulation, which are absolute.
globalThis.URL = class {
  constructor(href) {
    this.href = href;
  }
};
// What is not handed in is not there: the client must not take it from elsewhere.
delete globalThis.Date;
Math.random = () => {
  throw new Error("Math.random although `random` was handed in");
};

globalThis.AbortController = class {
  #listeners = new Set();
  signal = {
    aborted: false,
    reason: undefined,
    addEventListener: (_, run) => void this.#listeners.add(run),
    removeEventListener: (_, run) => void this.#listeners.delete(run),
  };
  abort(reason = new Error("aborted")) {
    if (this.signal.aborted) return;
    Object.assign(this.signal, { aborted: true, reason });
    for (const run of [...this.#listeners]) run();
  }
};

/** mulberry32: a client's own chance, from the run's. */
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A WebSocket as browsers have it, as far as the client may use it. */
function socketClass(client) {
  return class {
    onopen = null;
    onmessage = null;
    onerror = null;
    onclose = null;
    readyState = 0;
    constructor(url, protocols) {
      this.id = ++count;
      sockets.set(this.id, this);
      act("open", { client, socket: this.id, url, protocols });
    }
    send(text) {
      if (this.readyState === 0) throw new Error("a frame before the socket is open");
      if (this.readyState === 1) act("write", { socket: this.id, text });
    }
    close() {
      if (this.readyState > 1) return;
      this.readyState = 2;
      act("close", { socket: this.id });
    }
  };
}

function fetchOf(client) {
  return (url, { signal }) =>
    new Promise((resolve, reject) => {
      const lookup = ++count;
      lookups.set(lookup, { resolve, reject });
      signal.addEventListener("abort", () => {
        if (lookups.delete(lookup)) reject(signal.reason);
      });
      act("ask", { client, lookup, url });
    });
}

/** A promise's end as an act. */
const ended = (promise, name, fields) =>
  promise.then(
    (value) => act("done", { what: name, ...fields, value: value ?? null }),
    (error) => act("failed", { what: name, ...fields, code: `${error.code ?? error}` }),
  );

/** What the simulation tells, by its name. `id` is a client, a socket, a lookup or a timer. */
const heard = {
  begin(client, user, { seed, lookup, retry }) {
    const random = chance(seed);
    const [WebSocket, fetch] = [socketClass(client), fetchOf(client)];
    const made = createClient({ lookup, id: user, retry, WebSocket, fetch, random, now: () => now });
    clients.set(client, { client: made, groups: new Map() });
    made.on("message", (message) => act("message", { client, message }));
    made.on("gap", (gap) => act("gap", { client, gap }));
    made.on("status", ({ state, cause }) => act("status", { client, state, code: cause?.code ?? "" }));
    made.on("error", ({ code }) => act("told", { client, what: `error ${code}` }));
    made.on("moved", ({ from, to, reason }) => act("told", { client, what: `moved from ${from} to ${to}: ${reason}` }));
    ended(made.connect(), "connect", { client, number: 0 });
  },
  connect: (client) => void ended(clients.get(client).client.connect(), "connect", { client, number: 0 }),
  close: (client) => void ended(clients.get(client).client.close(), "close", { client, number: 0 }),
  wake: (client) => clients.get(client).client.wake(),
  send(client, _, { number, to, options }) {
    ended(clients.get(client).client.send(to, number, options), "send", { client, number });
  },
  join(client, name, options) {
    const group = clients.get(client).client.group(name, options);
    clients.get(client).groups.set(name, group);
    group.on("message", (message) => act("message", { client, message }));
    // Leaving before it is joined rejects this, and that is right.
    group.joined.catch(() => {});
  },
  leave(client, name) {
    const { groups } = clients.get(client);
    const group = groups.get(name);
    groups.delete(name);
    act("left", { client, topic: `g:${name}`, at: group.position ?? null });
    group.leave().catch(wrong);
  },
  timer(timer) {
    const run = timers.get(timer);
    timers.delete(timer);
    run?.();
  },
  opened(id) {
    const socket = sockets.get(id);
    if (socket?.readyState !== 0) return;
    socket.readyState = 1;
    socket.onopen?.({});
  },
  frame(id, data) {
    const socket = sockets.get(id);
    // Until the end of the closing handshake frames may come.
    if (socket) socket.onmessage?.({ data });
  },
  closed(id, reason, code) {
    const socket = sockets.get(id);
    sockets.delete(id);
    if (!socket) return;
    const opened = socket.readyState > 0;
    socket.readyState = 3;
    if (!opened) socket.onerror?.({});
    socket.onclose?.({ code, reason });
  },
  answer(lookup, body, status) {
    const asked = lookups.get(lookup);
    lookups.delete(lookup);
    asked?.resolve({ status, headers: { get: () => null }, json: async () => JSON.parse(body) });
  },
  unreached(lookup) {
    const asked = lookups.get(lookup);
    lookups.delete(lookup);
    asked?.reject(new Error("fetch failed"));
  },
};

/** `more` is JSON. */
globalThis.tell = (time, name, id, text, more) => {
  now = time;
  try {
    heard[name](id, text, more && JSON.parse(more));
  } catch (error) {
    wrong(error);
  }
};

/** The acts so far, as JSON; empty if there are none. */
globalThis.acts = () => {
  const said = acts;
  acts = [];
  return said.length ? JSON.stringify(said) : "";
};
