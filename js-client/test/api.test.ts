/** What the package exports, with its types, is what etc/ says: a change of it is seen in review. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "./packed.js";

it("is what was reviewed; if not: npm run build && npm run api", { timeout: 60_000 }, () => {
  const changed = execFileSync(process.execPath, [join(root, "scripts", "api.mjs"), "--check"], { encoding: "utf8" });
  expect(JSON.parse(changed)).toEqual([]);
});
