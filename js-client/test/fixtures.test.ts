/** The packed package in the hands of consumers: plain ESM and CommonJS, a page built by Vite, a server that renders React. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { build } from "vite";
import { install } from "./packed.js";

const { place, run } = install(".fixtures");
const write = (file: string, text: string): void => writeFileSync(join(place, file), text);

/** A message to oneself through a move, and the end. */
const TALK = `
  const cluster = fakeCluster();
  const client = await connect(cluster.options("alice"));
  const got = new Promise((resolve) => client.on("message", ({ data }) => data === 2 && resolve(data)));
  await client.send({ user: "alice" }, 1);
  const moved = new Promise((resolve) => client.on("moved", resolve));
  cluster.move("alice");
  await moved;
  await client.send({ user: "alice" }, 2);
  await got;
  await client.close();
  console.log(client.status.state);
`;

describe("on Node", () => {
  it.each([
    ["talk.mjs", `import { connect } from "ringdial"; import { fakeCluster } from "ringdial/testing";${TALK}`],
    ["core.mjs", `import { connect } from "ringdial/core"; import { fakeCluster } from "ringdial/testing";${TALK}`],
    ["talk.cjs", `const { connect } = require("ringdial"); const { fakeCluster } = require("ringdial/testing"); (async () => {${TALK}})();`],
  ])("%s connects, sends, moves and ends", (file, text) => {
    write(file, text);
    expect(run(process.execPath, file)).toBe("closed\n");
  });
});

/** A component with every hook. */
const APP = `
  import { createElement as h } from "react";
  import { createClient } from "ringdial";
  import { RingdialProvider, useEvent, useGroup, usePresence, useStatus } from "ringdial/react";
  const client = createClient({ lookup: "/lookup" });
  function Inside() {
    const room = useGroup("x");
    useEvent("message", () => {}, room);
    return useStatus().state + " " + usePresence("x").count;
  }
  export const app = h(RingdialProvider, { client }, h(Inside));
`;

describe("built by Vite", () => {
  const built = async (name: string, entry: string, more: object = {}): Promise<string> => {
    mkdirSync(join(place, name), { recursive: true });
    write(`${name}/app.js`, APP);
    write(`${name}/main.js`, entry);
    await build({
      root: join(place, name),
      configFile: false,
      logLevel: "error",
      define: { "process.env.NODE_ENV": '"production"' },
      build: { outDir: "out", rollupOptions: { input: join(place, name, "main.js"), output: { entryFileNames: "main.js" } }, ...more },
    });
    const out = join(place, name, "out");
    expect(readdirSync(out)).toContain("main.js");
    return readFileSync(join(out, "main.js"), "utf8");
  };

  it("a page has the client, and nothing of Node or of the tests' cluster", { timeout: 60_000 }, async () => {
    const text = await built("page", 'import { createRoot } from "react-dom/client"; import { app } from "./app.js"; createRoot(document.body).render(app);');
    const has = ["lookup_timeout", "ticket_used", '"node:', 'require("'].map((words) => text.includes(words));
    expect(has).toEqual([true, false, false, false]);
  });

  it("what is not used is not there: sideEffects", { timeout: 60_000 }, async () => {
    const text = await built("error", 'import { AuthError } from "ringdial"; import "ringdial/react"; import "ringdial/testing"; console.log(new AuthError().code);');
    expect(text.length).toBeLessThan(2_500);
  });

  it("a server renders it, bundled or not", { timeout: 60_000 }, async () => {
    const entry = 'import { renderToString } from "react-dom/server"; import { app } from "./app.js"; console.log(renderToString(app));';
    await built("server", entry, { ssr: true });
    expect(run(process.execPath, "server/out/main.js")).toBe("idle 0\n");
    const required = APP.replace(/import \{ (.*?) \} from (".*?");/g, (_, names: string, from: string) => `const { ${names.replace(/ as /g, ": ")} } = require(${from});`);
    write("server.cjs", `${required.replace("export const app", "const app")}; console.log(require("react-dom/server").renderToString(app));`);
    expect(run(process.execPath, "server.cjs")).toBe("idle 0\n");
  });
});

beforeAll(() => write("package.json", '{ "type": "module" }'));
