// Builds dist/: ESM and CommonJS by tsc, each with its own types, and one minified file for pages without a bundler. Private names are
// shortened in all of them; dist/plain, which is not published, has the modules before that: the simulation plants bugs into it.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundle } from "./bundle.mjs";
import { mangling } from "./private.mjs";

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
  cpSync(join(fresh, "esm"), join(fresh, "plain"), { recursive: true, filter: (file) => !/\.(map|d\.ts)$/.test(file) });
  const modules = ["esm", "cjs"].flatMap((folder) => readdirSync(join(fresh, folder), { recursive: true, encoding: "utf8" }).map((file) => join(fresh, folder, file)));
  await build({
    entryPoints: modules.filter((file) => file.endsWith(".js")),
    outdir: fresh,
    outbase: fresh,
    allowOverwrite: true,
    target: "es2022",
    sourcemap: true,
    tsconfigRaw: {},
    ...(await mangling()),
  });
  writeFileSync(join(fresh, "cjs", "package.json"), '{ "type": "commonjs" }\n');
  writeFileSync(join(fresh, "ringdial.min.js"), await bundle());
  rmSync(dist, { recursive: true, force: true });
  renameSync(fresh, dist);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
