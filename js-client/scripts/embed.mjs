// Puts the minified client where the binary `ringdial` takes it from for its page. Run after a change in src/:
// test/embedded.test.ts fails until then. A copy, because building the binary must not want Node.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";

writeFileSync(fileURLToPath(new URL("../../standalone/src/page/ringdial.min.js", import.meta.url)), await bundle());
