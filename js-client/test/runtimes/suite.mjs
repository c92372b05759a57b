/**
 * What every runtime must do, against a real cluster that takes ids without tokens. One function without imports, so that a page can
 * be given it as text; `apiKey` is the back end's, and a node is drained with it. Gives what went wrong, nothing if all is well.
 */
export async function suite({ connect, createClient }, lookup, Platform, apiKey) {
  const faults = [];
  const check = (what, right) => right || faults.push(what);
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (what, condition) => {
    for (const end = Date.now() + 8_000; !condition(); await sleep(10)) if (Date.now() > end) throw new Error(`not in time: ${what}`);
  };
  const name = (who) => `${who}-${Math.random().toString(36).slice(2)}`;
  const [ann, ben, group] = [name("ann"), name("ben"), name("group")];
  const sockets = [];
  const WebSocket = class extends Platform {
    constructor(url, protocols) {
      super(url, protocols);
      sockets.push(this);
    }
  };
  const options = { lookup, WebSocket, retry: { baseMs: 20, maxMs: 200 } };
  const a = await connect({ ...options, id: ann });
  const b = await connect({ ...options, id: ben });
  try {
    const got = [];
    b.on("message", ({ data }) => got.push(data));
    const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
    const say = (from, to) => Promise.all(numbers(from, to).map((n) => a.send({ user: ben }, n)));

    const acks = await say(0, 15);
    await until("15 messages", () => got.length >= 15);
    check("acks have offsets one after the other", acks.every(({ offset }, i) => offset === acks[0].offset + i));
    const [one, other] = [await a.send({ user: ben }, 15, { key: "k" }), await a.send({ user: ben }, 15, { key: "k" })];
    check("a key is stored once", one.offset === other.offset);

    sockets[1].close();
    await until("the loss is noticed", () => b.status.state === "reconnecting");
    await Promise.all([say(16, 20), until("connected again", () => b.status.state === "connected")]);
    await until("what was missed", () => got.length >= 20);
    check("each once and in order", JSON.stringify(got) === JSON.stringify(numbers(0, 20)));

    const [moves, states, { node }] = [[], [], b.status];
    b.on("moved", (move) => moves.push(move));
    b.on("status", ({ state }) => states.push(state));
    const drain = await fetch(lookup.replace(/lookup$/, `v1/nodes/${node}/drain`), { method: "POST", headers: { authorization: `Bearer ${apiKey}` } });
    check("a drain begins", drain.status === 202);
    const sends = [];
    for (let n = 20; n < 100 || !moves[0]; n++) {
      if (n > 400) throw new Error("not in time: the move");
      sends.push(a.send({ user: ben }, n));
      await sleep(25);
    }
    await Promise.all(sends);
    await until("what was said during the move", () => got.length >= 20 + sends.length);
    check("each once and in order, over a move", JSON.stringify(got) === JSON.stringify(numbers(0, 20 + sends.length)));
    check("one move, and no moment without a connection", moves.length === 1 && moves[0].from === node && states.length === 0);

    const [mine, theirs] = [a.group(group, { presence: true }), b.group(group)];
    await Promise.all([mine.joined, theirs.joined]);
    const loop = theirs.messages();
    await mine.send("stored");
    await mine.send("passed on", { ephemeral: true });
    check("a loop's messages", (await loop.next()).value.data === "stored" && (await loop.next()).value.data === "passed on");
    check("history", (await theirs.history()).entries[0].data === "stored");
    check("presence", (await mine.presence()).count === 2);
    check("online", (await a.online([ann, ben, name("nobody")])).online.length === 2);
    check("all of a log", (await a.group(group, { since: { offset: 0 } }).messages().next()).value.data === "stored");

    a.wake();
    await sleep(200);
    check("stays connected after wake()", a.status.state === "connected");

    const codes = [];
    const refused = createClient({ lookup: async () => ({ url: "ws://127.0.0.1:9/ws", protocols: ["ringdial.v1"] }), WebSocket: Platform, retry: { baseMs: 5, maxMs: 20 } });
    refused.on("error", ({ code }) => codes.push(code));
    refused.connect().catch(() => {});
    await until("a refused connection is told, and tried again", () => codes.filter((code) => code === "unreachable").length > 2);
    await refused.close();
  } catch (error) {
    faults.push(String(error));
  }
  const begin = Date.now();
  await Promise.all([a.close(), b.close()]);
  check("close() within a second", Date.now() - begin < 1_000);
  return faults;
}
