// The two steps on the command line, with Node 20 or newer and nothing installed:
//
//   curl -s http://127.0.0.1:7000/try.js | node - alice                      connects as alice and shows what arrives,
//                                                                            after what her log still holds
//   curl -s http://127.0.0.1:7000/try.js | node - bob alice 'some words'     connects as bob, sends to alice, and ends
//   curl -s http://127.0.0.1:7000/try.js | node - alice g:lobby              the same with the group lobby
//   curl -s http://127.0.0.1:7000/try.js | node - bob g:lobby 'some words'
//
// ORIGIN is put before this text by the process that serves it. TOKEN in the environment: the application's token.
const [, , me, to = "", ...words] = process.argv;
const group = /^g:(.+)/.exec(to)?.[1];

if (!me || (to && !group && words.length === 0)) {
  console.error(`usage: curl -s ${ORIGIN}/try.js | node - ME [SOMEBODY WORDS... | g:GROUP [WORDS...]]`);
  process.exit(2);
}

// Node 20 and 21 have a WebSocket behind a flag only: once more, with it.
const again = async () => {
  const script = await fetch(`${ORIGIN}/try.js`).then((answer) => answer.text());
  const flags = ["--experimental-websocket", "--no-warnings", "-", ...process.argv.slice(2)];
  const child = require("node:child_process").spawn(process.execPath, flags, { stdio: ["pipe", "inherit", "inherit"] });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 130));
  child.stdin.end(script);
};

const show = (line) => console.log(line);
const told = ({ from, data }) => `${from || "(no user)"}: ${data?.text ?? JSON.stringify(data)}`;

// What the log holds of the inbox, and then what comes.
const listen = async (client) => {
  const { entries, offset = 0, epoch } = await client.history({ limit: 20 });
  for (const entry of [...entries].reverse()) show(`${told(entry)}   (from the log)`);
  // What came since the connection and before that answer is in both.
  client.on("message", (message) => (message.epoch === epoch && message.offset <= offset) || show(told(message)));
};

const join = async (client) => {
  const room = client.group(group, { presence: true, since: { offset: 0 } });
  room.on("message", (message) => show(`${told(message)}${message.replayed ? "   (from the log)" : ""}`));
  room.on("presence", ({ count, users, joined = [], left = [] }) => {
    if (users) show(`in ${to}: ${users.join(", ")}`);
    else if (joined.length + left.length === 0) show(`in ${to}: ${count} users`);
    else show([...joined.map((user) => `${user} came to ${to}`), ...left.map((user) => `${user} left ${to}`)].join("; "));
  });
  await room.joined;
};

const write = async (client) => {
  const { online, offset } = await client.send(group ? { group } : { user: to }, { text: words.join(" ") });
  const stored = offset ? `stored as number ${offset} of the log` : "not stored";
  show(online ? `passed on to ${to} (${online} connection${online > 1 ? "s" : ""}), ${stored}` : `${to} has no connection: ${stored}`);
};

const main = async () => {
  if (!globalThis.WebSocket) return again();
  const source = await fetch(`${ORIGIN}/ringdial.min.js`).then((answer) => answer.text());
  const { connect } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const client = await connect({ lookup: `${ORIGIN}/lookup`, id: me, token: process.env.TOKEN || undefined });

  client.on("status", (status) => {
    if (status.state === "connected") show(`${me} is connected to ${status.node}`);
    if (status.state === "reconnecting") show(`connection lost (${status.cause?.message ?? status.cause?.code}); trying again`);
    if (status.state === "closed" && status.cause) process.exitCode = 1;
  });
  show(`${me} is connected to ${client.status.node}${words.length > 0 ? "" : "; messages are shown here, Ctrl-C ends"}`);
  if (words.length > 0) {
    await write(client);
    return client.close();
  }
  client.on("gap", ({ after, before }) => show(`(${before - after - 1} messages are no longer there)`));
  await (group ? join(client) : listen(client));
};

main().catch((error) => {
  console.error(`${error.message} (${error.code ?? error.cause?.code ?? "error"})`);
  process.exit(1);
});
