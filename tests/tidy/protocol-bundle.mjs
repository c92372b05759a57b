/**
 * docs/openapi.json holds the schemas of docs/schemas/ that it shares, since lookup services serve it as one file. This puts
 * them there anew:
 *
 *     node tests/tidy/protocol-bundle.mjs
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY } from '../harness/binaries.mjs';
import { print } from '../transcripts/print.mjs';
import { schemas } from '../transcripts/schemas.mjs';
import { read } from './source.mjs';

/** name in docs/openapi.json -> file in docs/schemas/ */
export const SHARED = {
  Id: 'id',
  Service: 'service',
  Epoch: 'epoch',
  Signature: 'signature',
  RingVersion: 'ring-version',
  LookupRequest: 'lookup-request',
  Subprotocols: 'subprotocols',
  Grant: 'lookup-answer',
  Ring: 'ring',
  Target: 'to',
  HistoryEntry: 'entry',
  NodeState: 'node-state',
  Problem: 'problem',
};
export const OPENAPI = path.join(REPOSITORY, 'docs/openapi.json');

/** The document's text with the shared schemas as they are now. @param {string} text */
export function bundled(text) {
  const document = JSON.parse(text);
  const files = schemas();
  for (const [name, file] of Object.entries(SHARED)) {
    const { $schema, title, ...schema } = files.get(file) ?? {};
    document.components.schemas[name] = inside(schema);
  }
  return `${print(document)}\n`;
}

/** With references to files as references inside the document. @param {any} value @returns {any} */
function inside(value) {
  if (Array.isArray(value)) return value.map(inside);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, told]) => [key, key === '$ref' ? `#/components/schemas/${nameOf(told)}` : inside(told)]));
}

/** @param {string} file */
function nameOf(file) {
  const found = Object.entries(SHARED).find(([, shared]) => `${shared}.json` === file);
  if (!found) throw new Error(`docs/openapi.json does not share ${file}: name it in SHARED`);
  return found[0];
}

if (process.argv[1]?.endsWith('/protocol-bundle.mjs')) writeFileSync(OPENAPI, bundled(read(OPENAPI)));
