// The two steps on the command line, with Node 20 or newer and nothing installed:
//
//   curl -s http://127.0.0.1:7000/try.js | node - alice                    connects as alice and shows what arrives
//   curl -s http://127.0.0.1:7000/try.js | node - bob alice 'some words'   connects as bob, sends to alice, and ends
//
// ORIGIN is put before this text by the process that serves it. TOKEN in the environment: the application's token.
const [, , me, to, ...words] = process.argv;

if (!me || (to && words.length === 0)) {
  console.error(`usage: curl -s ${ORIGIN}/try.js | node - ME [SOMEBODY WORDS...]`);
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

const main = async () => {
  if (!globalThis.WebSocket) return again();
  const source = await fetch(`${ORIGIN}/ringdial.min.js`).then((answer) => answer.text());
  const { connect } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const client = await connect({ lookup: `${ORIGIN}/lookup`, id: me, token: process.env.TOKEN || undefined });
  const show = (line) => console.log(line);

  client.on("status", (status) => {
    if (status.state === "connected") show(`${me} is connected to ${status.node}`);
    if (status.state === "reconnecting") show(`connection lost (${status.cause?.message ?? status.cause?.code}); trying again`);
    if (status.state === "closed" && status.cause) process.exitCode = 1;
  });
  show(`${me} is connected to ${client.status.node}${to ? "" : "; messages are shown here, Ctrl-C ends"}`);
  client.on("message", ({ from, data }) => show(`${from}: ${data?.text ?? JSON.stringify(data)}`));
  if (!to) return;
  const { online } = await client.send({ user: to }, { text: words.join(" ") });
  show(online ? `passed on to ${to}, who has ${online} connection(s)` : `${to} is not connected: nobody got it`);
  await client.close();
};

main().catch((error) => {
  console.error(`${error.message} (${error.code ?? error.cause?.code ?? "error"})`);
  process.exit(1);
});
