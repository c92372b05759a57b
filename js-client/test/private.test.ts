/** Names that the build shortens: nobody else may know them by their long ones. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { PRIVATE } from "../scripts/private.mjs";
import { root } from "./packed.js";

const read = (folder: string, ...ends: string[]): [file: string, text: string][] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => ends.some((end) => file.endsWith(end)))
    .map((file) => [file, readFileSync(join(root, folder, file), "utf8")]);

/** `name:`, `name?:`, `name(`, `"name"`, `.name`: as a property, or as text that may become one. */
const uses = (text: string, pattern: string): string[] => PRIVATE.filter((name) => new RegExp(pattern.replace("NAME", name)).test(text));

it("are not of the API", () => {
  expect(read("etc", ".api.md").flatMap(([, text]) => uses(text, "\\bNAME\\??[:(]"))).toEqual([]);
});

it("are in no frame, and in no answer of a lookup", () => {
  const schemas = read("../docs/schemas", ".json").filter(([file]) => file !== "ring.json").map(([, text]) => text);
  expect(schemas.join("")).toContain('"heartbeat_ms"');
  expect(schemas.flatMap((text) => uses(text, '"NAME":'))).toEqual([]);
});

it("are never meant by a text", () => {
  const sources = read("src", ".ts").map(([, text]) => text.replaceAll(/Runner\["dispatch"\]/g, ""));
  expect(sources.flatMap((text) => uses(text, '(\\["NAME"\\]|"NAME" in|"NAME":)'))).toEqual([]);
});

it("are known to the sources", () => {
  const sources = read("src", ".ts").map(([, text]) => text).join("");
  expect(PRIVATE.filter((name) => !uses(sources, "\\bNAME\\b").includes(name))).toEqual([]);
});
