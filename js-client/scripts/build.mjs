// Builds dist/: ESM and CommonJS by tsc, each with its own types, and one minified file for pages without a bundler.
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");
/** Built beside it and put in its place at the end: what is there is used meanwhile. */
const fresh = join(root, `dist.${process.pid}`);
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), "bin", "tsc");

try {
  for (const [project, folder] of [["tsconfig.json", "esm"], ["tsconfig.cjs.json", "cjs"]]) {
    execFileSync(process.execPath, [tsc, "-p", join(root, project), "--outDir", join(fresh, folder)], { stdio: "inherit" });
  }
  mkdirSync(join(fresh, "cjs"), { recursive: true });
  writeFileSync(join(fresh, "cjs", "package.json"), '{ "type": "commonjs" }\n');
  writeFileSync(join(fresh, "ringdial.min.js"), await bundle());
  rmSync(dist, { recursive: true, force: true });
  renameSync(fresh, dist);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
