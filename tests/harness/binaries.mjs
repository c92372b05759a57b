/** Where the programs under test are. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

/** @param {'lookup-service' | 'ws-node' | 'ringdial'} name @returns {string} its path */
export function binary(name) {
  const directory = path.resolve(REPOSITORY, process.env.RINGDIAL_BIN_DIR ?? 'target/release');
  const file = path.join(directory, name);
  if (!existsSync(file)) throw new Error(`${file} is not there: build it with cargo, or set RINGDIAL_BIN_DIR`);
  return file;
}
