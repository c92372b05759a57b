// The whole client as one minified ES module: what `dist/ringdial.min.js` holds and what the size budget is measured on.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { mangling } from "./private.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** @param {string} [entry] a file in src/ @returns {Promise<Uint8Array>} */
export async function bundle(entry = "index.ts") {
  const result = await build({
    entryPoints: [join(root, "src", entry)],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    external: ["react"],
    write: false,
    ...(await mangling()),
  });
  return result.outputFiles[0].contents;
}
