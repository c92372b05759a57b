/** The budget of what an application downloads. */
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { bundle } from "../scripts/bundle.mjs";

/** Of what is published, private names shortened. The README says what costs what; 6,000 is the aim for the core. */
const BUDGETS: readonly (readonly [entry: string, bytes: number])[] = [
  ["core.ts", 7_270],
  ["index.ts", 9_300],
  ["react.ts", 900],
];

it.each(BUDGETS)("%s is at most %i bytes, bundled, minified and gzipped", async (entry, bytes) => {
  expect(gzipSync(await bundle(entry), { level: 9 }).length).toBeLessThanOrEqual(bytes);
});
