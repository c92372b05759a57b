/** The budget of what an application downloads. */
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { bundle } from "../scripts/bundle.mjs";

/** The README says what costs what. 6,000 is the aim for the core: it has everything that messages once, in order, over moves and reconnects take. */
const BUDGETS: readonly (readonly [entry: string, bytes: number])[] = [
  ["core.ts", 6_745],
  ["index.ts", 8_140],
  ["react.ts", 1_000],
];

it.each(BUDGETS)("%s is at most %i bytes, bundled, minified and gzipped", async (entry, bytes) => {
  expect(gzipSync(await bundle(entry), { level: 9 }).length).toBeLessThanOrEqual(bytes);
});
