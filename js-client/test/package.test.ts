/** The package as it is published: imported, required, type-checked. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, install } from "./packed.js";

const { place, run } = install(".package-test");
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");

const NAMES = ["AuthError", "RingdialError", "connect", "createClient"];

it.each([
  ["import", "import.mjs", 'import * as ringdial from "ringdial";'],
  ["the core", "core.mjs", 'import * as ringdial from "ringdial/core";'],
  ["the core by require", "core.cjs", 'const ringdial = require("ringdial/core");'],
  ["require", "require.cjs", 'const ringdial = require("ringdial");'],
  ["the single file", "single.mjs", 'import * as ringdial from "./node_modules/ringdial/dist/ringdial.min.js";'],
])("%s: named exports, and nothing done by loading or creating", (_, file, load) => {
  const use = 'ringdial.createClient({ lookup: "http://127.0.0.1:1/lookup" }); console.log(JSON.stringify(Object.keys(ringdial).sort()));';
  writeFileSync(join(place, file), `${load}\n${use}\n`);
  expect(JSON.parse(run(process.execPath, file))).toEqual(NAMES);
});

it.each([
  ["react, imported", "react.mjs", 'import * as it from "ringdial/react";', ["RingdialProvider", "useClient", "useEvent", "useGroup", "usePresence", "useStatus"]],
  ["react, required", "react.cjs", 'const it = require("ringdial/react");', ["RingdialProvider", "useClient", "useEvent", "useGroup", "usePresence", "useStatus"]],
  ["testing, imported", "testing.mjs", 'import * as it from "ringdial/testing";', ["fakeCluster"]],
  ["testing, required", "testing.cjs", 'const it = require("ringdial/testing");', ["fakeCluster"]],
])("%s: named exports", (_, file, load, names) => {
  writeFileSync(join(place, file), `${load}\nconsole.log(JSON.stringify(Object.keys(it).sort()));\n`);
  expect(JSON.parse(run(process.execPath, file))).toEqual(names);
});

it("lets the process end once closed", () => {
  const script = `
    import { createClient } from "ringdial";
    import { WebSocket } from "ws";
    const client = createClient({ lookup: "http://127.0.0.1:1/lookup", WebSocket, retry: { baseMs: 60_000 }, random: () => 0.9 });
    client.connect().catch((error) => console.log(error.code));
    client.on("error", async (error) => { console.log(error.code); await client.close(); });
  `;
  writeFileSync(join(place, "end.mjs"), script);
  expect(run(process.execPath, "end.mjs")).toBe("lookup_failed\nclosed\n");
});

const USE = `
const options: ClientOptions = {
  lookup: ["https://a.example/lookup", "https://b.example/lookup"],
  token: async ({ reason }) => { if (reason === "rejected") throw new AuthError("signed out"); return "jwt"; },
};
export async function main(): Promise<void> {
  const client = await connect<{ text: string }>(options);
  const off: () => void = client.on("message", ({ from, data }) => { const line: string = from + data.text; void line; });
  client.on("status", (status) => { if (status.state === "reconnecting") { const n: number = status.attempt; void n; } });
  // @ts-expect-error no such event
  client.on("open", () => {});
  // @ts-expect-error no such target
  await client.send({ nobody: 1 }, { text: "hi" });
  const ack = await client.send({ user: "bob" }, { text: "hi" }, { key: "k", ephemeral: false });
  const online: number | undefined = ack.online;
  void online;
  await using room = client.group<{ line: number }>("x", { presence: true, since: { offset: 0 } });
  await room.joined;
  room.on("message", ({ data, offset }) => { const sum: number = data.line + (offset ?? 0); void sum; });
  room.on("presence", ({ joined = [], left = [] }) => { const names: readonly string[] = [...joined, ...left]; void names; });
  const { entries } = await room.history({ before: 9, limit: 10 });
  const line: number | undefined = entries[0]?.data.line;
  void line;
  const saved: Position | undefined = room.position;
  if (saved) client.group("x", { since: saved });
  // @ts-expect-error an offset without its epoch
  client.group("x", { since: { offset: 3 } });
  await client.send({ match: { class: 3 } }, 1, { ack: false });
  off();
  await client.close();
}
`;
const NAMED = "import { AuthError, type ClientOptions, type Position, connect";

it.each([
  ["in a browser project", "dom.ts", ["--lib", "ES2022,DOM"], `${NAMED} } from "ringdial";
    const o: ClientOptions = { lookup: "/lookup", WebSocket, fetch: window.fetch, token: ({ signal }) => fetch("/token", { signal }).then((r) => r.text()) }; void o;`],
  ["on Node", "node.ts", ["--lib", "ES2022", "--types", "node,ws"], `${NAMED} } from "ringdial"; import { WebSocket } from "ws";
    const o: ClientOptions = { lookup: "/lookup", WebSocket, fetch, token: ({ signal }) => fetch("/token", { signal }).then((r) => r.text()) }; void o;`],
  ["from CommonJS", "common.cts", ["--lib", "ES2022"], 'import ringdial = require("ringdial"); import type { ClientOptions, Position } from "ringdial"; const { AuthError, connect } = ringdial;'],
  ["with neither DOM nor Node types", "bare.ts", ["--lib", "ES2022"], `${NAMED} } from "ringdial";`],
])("types fit %s", { timeout: 60_000 }, (_, file, args, head) => {
  writeFileSync(join(place, "package.json"), '{ "type": "module" }');
  writeFileSync(join(place, file), head + USE);
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "false", "--module", "NodeNext", "--target", "ES2022", "--noEmit", "--ignoreConfig"];
  const types = args.includes("--types") ? [] : ["--types", ""];
  let said = "";
  try {
    run(process.execPath, tsc, ...strict, ...types, ...args, file);
  } catch (error) {
    said = String((error as { stdout: unknown }).stdout);
  }
  expect(said).toBe("");
});
