/** The copy of the client in the embedded default's page. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { bundle } from "../scripts/bundle.mjs";

it("is the client as it is now; if not: npm run embed", async () => {
  const copy = readFileSync(new URL("../../standalone/src/page/ringdial.min.js", import.meta.url));
  expect(copy.equals(await bundle())).toBe(true);
});
