/** The budget of what an application downloads. */
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { bundle } from "../scripts/bundle.mjs";

/**
 * 6,000 is the aim. Groups, positions, presence and history took 1,800 more: what of them becomes an entry of its own is
 * settled with the React and testing entries, and the budget then goes down again.
 */
const BUDGET_BYTES = 7_900;

it(`is at most ${BUDGET_BYTES} bytes, bundled, minified and gzipped`, async () => {
  const { length } = gzipSync(await bundle(), { level: 9 });
  expect(length).toBeLessThanOrEqual(BUDGET_BYTES);
});
