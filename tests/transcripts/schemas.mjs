/**
 * docs/schemas/ as tests hold frames, requests and answers against it. Two readings: loose, as the protocol has it, where
 * fields that nobody has described are ignored; and strict, where such a field is a fault, for what the programs say.
 */
import path from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import { REPOSITORY } from '../harness/binaries.mjs';
import { filesIn, read } from '../tidy/source.mjs';

const FOLDER = path.join(REPOSITORY, 'docs/schemas');
/** Where `$ref`s lead from; nobody is asked for it. */
const BASE = 'file:///docs/schemas/';
/** What stands below these is a part of the same value. */
const BRANCHES = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else']);

/** @typedef {Record<string, any>} Schema */

/** Every schema by its file's path in docs/schemas, without `.json`. @returns {Map<string, Schema>} */
export function schemas() {
  const files = filesIn(FOLDER, ['.json']).sort();
  return new Map(files.map((file) => [path.relative(FOLDER, file).replace(/\.json$/, ''), JSON.parse(read(file))]));
}

/** The checker of all schemas. @param {{ strict: boolean }} reading @returns {(name: string, value: unknown) => string | undefined} what is wrong */
export function checker({ strict }) {
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true, strictRequired: false, strictTypes: false });
  for (const [name, schema] of schemas()) ajv.addSchema(strict && !isSum(schema) ? closed(schema) : schema, `${BASE}${name}.json`);
  return (name, value) => {
    const validate = ajv.getSchema(`${BASE}${name}.json`);
    if (!validate) throw new Error(`there is no schema ${name}`);
    return validate(value) ? undefined : ajv.errorsText(validate.errors, { dataVar: name });
  };
}

/** A choice between other files, each of which is closed by itself. @param {Schema} schema */
const isSum = (schema) => [schema.anyOf, schema.oneOf].some((branches) => branches?.every((/** @type {Schema} */ branch) => branch.$ref));

/** The schema with every object in it closed. @param {any} schema @param {boolean} [branch] whether it describes a value together with others */
function closed(schema, branch = false) {
  if (Array.isArray(schema)) return schema.map((one) => closed(one, branch));
  if (typeof schema !== 'object' || schema === null) return schema;
  const inner = Object.entries(schema).map(([keyword, told]) => {
    if (keyword === 'properties') return [keyword, Object.fromEntries(Object.entries(told).map(([name, one]) => [name, closed(one)]))];
    if (BRANCHES.has(keyword)) return [keyword, closed(told, true)];
    return [keyword, keyword === 'items' || keyword === 'additionalProperties' ? closed(told) : told];
  });
  const all = Object.fromEntries(inner);
  const open = all.properties === undefined && !all.oneOf?.some((/** @type {Schema} */ one) => one.properties);
  return branch || open ? all : { ...all, unevaluatedProperties: false };
}

const loose = checker({ strict: false });
const strict = checker({ strict: true });

/** What is wrong with a frame that a node has sent, an undocumented field as well. @param {any} frame @returns {string | undefined} */
export function faultOfNode(frame) {
  const names = NODE.filter((name) => name === frame?.op || name.startsWith(`${frame?.op}-`));
  if (names.length === 0) return `no node says ${JSON.stringify(frame)}`;
  const faults = names.map((name) => strict(`node/${name}`, frame));
  return faults.every((fault) => fault) ? `${JSON.stringify(frame)}: ${faults.join('; or ')}` : undefined;
}

const NODE = [...schemas().keys()].filter((name) => name.startsWith('node/') && name !== 'node/frame').map((name) => name.slice(5));

export { loose, strict };
