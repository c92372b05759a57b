/** The budget of what an application downloads. */
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { bundle } from "../scripts/bundle.mjs";

const BUDGET_BYTES = 6_000;

it(`is at most ${BUDGET_BYTES} bytes, bundled, minified and gzipped`, async () => {
  const { length } = gzipSync(await bundle(), { level: 9 });
  expect(length).toBeLessThanOrEqual(BUDGET_BYTES);
});
