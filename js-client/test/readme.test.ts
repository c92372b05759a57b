/** The code in README.md compiles as it stands, against the package as it is published. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, install } from "./packed.js";

const { place, run } = install(".readme-test");

/** What is the reader's own: the text says what it is. */
const READERS = `
declare const lookup: string;
declare const token: () => Promise<string>;
`;

/** The fenced blocks of code, by file name: the line where they begin. */
function blocks(): Map<string, string> {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const found = [...text.matchAll(/^```(tsx?|jsx?|[cm]?[jt]s)\n(.*?)^```$/gms)];
  return new Map(found.map(({ 1: kind, 2: code = "", index }) => [`line-${text.slice(0, index).split("\n").length}.${kind}`, code]));
}

/** What the compiler says. */
function compiled(files: Map<string, string>): string {
  writeFileSync(join(place, "package.json"), '{ "type": "module" }');
  writeFileSync(join(place, "readers.d.ts"), READERS);
  for (const [file, code] of files) writeFileSync(join(place, file), code);
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--allowJs", "--checkJs", "--skipLibCheck", "--module", "NodeNext", "--target", "ES2022", "--noEmit"];
  try {
    return run(process.execPath, tsc, ...strict, "--ignoreConfig", "--lib", "ES2022,DOM", "--types", "", "--jsx", "react-jsx", "readers.d.ts", ...files.keys());
  } catch (error) {
    return String((error as { stdout: unknown }).stdout);
  }
}

it("every block compiles", { timeout: 60_000 }, () => {
  const all = blocks();
  expect(all.size).toBeGreaterThanOrEqual(4);
  expect(compiled(all)).toBe("");
});

it("a block that lacks one of its imports, or says what is not there, is found", { timeout: 60_000 }, () => {
  const all = blocks();
  const lacking = new Map([...all].map(([file, code]) => [file, code.replace(/^import .*\n/m, "")]));
  const said = compiled(lacking);
  for (const file of all.keys()) expect(said).toContain(file);
  const [[file, code] = ["", ""]] = all;
  expect(compiled(new Map([[file, code.replace("client.send(", "client.sent(")]]))).toContain("'sent' does not exist");
});
