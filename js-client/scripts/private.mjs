// Names of properties that only the client itself sees: what is built has a letter or two for each, as bundlers do it with variables. Not
// one of them may be part of the API, of a frame, or of the platform: test/private.test.ts.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const NAMES = `
  absent again ask asked avoided behind burstMs bytes closed config cost counter detached dial dispatch effects failures grant heardAt heartbeatMs
  inside leaving link mostBytes named offer old paidAt pending phase places policy refreshed refusal refuse renewable replied roll rules runner said sends silent
  socket spreadMs stepMs stood suspect text until waiters want webSocket what
`;

export const PRIVATE = NAMES.trim().split(/\s+/);

const mangleProps = new RegExp(`^(${PRIVATE.join("|")})$`);
const sources = fileURLToPath(new URL("../src/", import.meta.url));

/** Options for esbuild, the same for every format and entry, because some of them share objects: those that are used most are the shortest. */
export async function mangling() {
  const entryPoints = ["index", "core", "react", "testing"].map((entry) => join(sources, `${entry}.ts`));
  const { mangleCache } = await build({ entryPoints, bundle: true, minify: true, external: ["react"], write: false, outdir: ".", mangleProps, mangleCache: {} });
  return { mangleProps, mangleCache };
}
