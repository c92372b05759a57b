/** What is in the tarball besides code: its licences, a README without links that lead out of it, and what heads the hooks. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, install } from "./packed.js";

const { place } = install(".tarball-test");
const packed = (file: string): string => readFileSync(join(place, "node_modules", "ringdial", file), "utf8");

it.each(["LICENSE-APACHE", "LICENSE-MIT"])("%s is that of the repository", (file) => {
  expect(packed(file)).toBe(readFileSync(join(root, "..", file), "utf8"));
});

it("its README links to nothing that is not there", () => {
  const links = [...packed("README.md").matchAll(/\]\((?!https?:|#)([^)]+)\)/g)].map(([, link]) => link as string);
  expect(links.filter((link) => link.startsWith("..") || !existsSync(join(place, "node_modules", "ringdial", link)))).toEqual([]);
});

it.each(["esm", "cjs"])("the hooks say first that they are for clients: %s", (format) => {
  expect(packed(`dist/${format}/react.js`)).toMatch(/^(\/\*[^]*?\*\/\s*)?(["']use strict["'];\s*)?["']use client["'];/);
});
