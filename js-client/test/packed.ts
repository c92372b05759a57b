/** The package as it is published: packed, and installed by npm where it finds `ws`, React and the type packages. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "..");

/** A folder with the package installed, and what runs commands there. */
export function install(name: string): { place: string; run: (command: string, ...args: string[]) => string } {
  // Below our node_modules, so that the other packages are found.
  const place = join(root, "node_modules", name);
  const run = (command: string, ...args: string[]): string => execFileSync(command, args, { cwd: place, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  if (!existsSync(join(root, "dist", "esm", "testing.js"))) execFileSync(process.execPath, [join(root, "scripts", "build.mjs")]);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  // What npm takes for the root of a project.
  writeFileSync(join(place, "package.json"), "{}");
  const [{ filename }] = JSON.parse(run("npm", "pack", root, "--json", "--ignore-scripts")) as [{ filename: string }];
  // Offline: it has no dependency.
  run("npm", "install", `./${filename}`, "--offline", "--no-package-lock", "--no-save", "--no-audit", "--no-fund");
  return { place, run };
}
