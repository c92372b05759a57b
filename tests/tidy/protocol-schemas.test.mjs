/**
 * docs/schemas/ say what the tables of docs/PROTOCOL.md say, field by field: name, type, and whether it is always there. The
 * tables are compared with the code by Rust tests, so the schemas are, too.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import Ajv from 'ajv/dist/2020.js';
import { loose, schemas, strict } from '../transcripts/schemas.mjs';
import { table, text } from './documents.mjs';

const protocol = text('docs/PROTOCOL.md');
const files = schemas();

/** @typedef {{ type: string, own: boolean, always: boolean, either: boolean }} Field `own`: required where its outer field is there; `always`: and that one is; `either`: one of several is there */

/** A schema and the file it stands in, references followed. @param {any} schema @param {string} file @returns {[any, string]} */
function resolved(schema, file) {
  if (schema.$ref === undefined) return [schema, file];
  const target = path.join(path.dirname(file), schema.$ref).replace(/\.json$/, '');
  const found = files.get(target);
  assert.ok(found, `${file}: ${schema.$ref} leads nowhere`);
  return resolved(found, target);
}

/** As the tables write a type. @param {any} schema @param {string} file @returns {string} */
function typeOf(schema, file) {
  const [{ type, enum: values, const: only, items, minItems, anyOf }, place] = resolved(schema, file);
  if (only !== undefined) return typeof only === 'string' ? 'string' : String(only);
  if (values) return values.every((/** @type {unknown} */ value) => typeof value === 'string') ? 'string' : 'boolean or "pending"';
  if (anyOf) return [...new Set(anyOf.map((/** @type {any} */ one) => typeOf(one, place)))].join(' or ').replace('[string, ...]', 'an array');
  if (items) return `[${typeOf(items, place)}, ${minItems === 2 ? typeOf(items, place) : '...'}]`;
  if (type === undefined) return 'any JSON';
  const names = [type].flat().map((name) => (name === 'integer' ? 'number' : name));
  return names.length > 2 ? `${names.slice(0, -1).join(', ')} or ${names.at(-1)}` : names.join(' or ');
}

/** The fields of a schema as the tables name them. @param {string} name @returns {Map<string, Field>} */
function fieldsOf(name) {
  const found = new Map();
  const walk = (/** @type {any} */ told, /** @type {string} */ from, /** @type {string} */ prefix, /** @type {boolean} */ outer) => {
    const [schema, file] = resolved(told, from);
    const branches = schema.oneOf?.filter((/** @type {any} */ one) => one.properties) ?? [];
    for (const [part, either] of [[schema, false], ...branches.map((/** @type {any} */ one) => [one, true])])
      for (const [field, inner] of Object.entries(part.properties ?? {})) {
        if (prefix === '' && field === 'op') continue;
        const own = Boolean(part.required?.includes(field));
        enter(inner, file, prefix + field, { own, always: outer && own, either });
      }
  };
  const enter = (/** @type {any} */ told, /** @type {string} */ from, /** @type {string} */ at, /** @type {any} */ state) => {
    const [schema, file] = resolved(told, from);
    const objects = (/** @type {any} */ one) => one && (resolved(one, file)[0].properties || resolved(one, file)[0].oneOf);
    if (schema.properties || schema.oneOf) return walk(schema, file, `${at}.`, state.always);
    if (objects(schema.items)) return walk(schema.items, file, `${at}[].`, state.always);
    if (objects(schema.additionalProperties)) return walk(schema.additionalProperties, file, `${at}.<topic>.`, state.always);
    if (schema.additionalProperties) return found.set(`${at}.<attribute>`, { type: typeOf(schema.additionalProperties, file), ...state });
    return found.set(at, { type: typeOf(schema, file), ...state });
  };
  walk(files.get(name), name, '', true);
  return found;
}

/** @param {string[][]} rows @returns {Map<string, string[][]>} by their first cell, which is left out; no rows for a field without a name */
function grouped(rows) {
  /** @type {Map<string, string[][]>} */
  const groups = new Map();
  for (const [first, ...rest] of rows) groups.set(first, [...(groups.get(first) ?? []), ...(rest[0] ? [rest] : [])]);
  return groups;
}

/** @param {string} name @param {string[][]} rows field, type, presence @param {(field: Field) => string} presence */
function assertSame(name, rows, presence) {
  const told = rows.map(([field, type, present]) => [field, type, present]).sort();
  const inSchema = [...fieldsOf(name)].map(([field, one]) => [field, one.type, presence(one)]).sort();
  assert.deepEqual(inSchema, told, `docs/schemas/${name}.json and docs/PROTOCOL.md`);
}

/** @param {Field} field */
const present = ({ always }) => (always ? 'always' : 'sometimes');
/** @param {Field} field */
const required = ({ own, either }) => (either ? 'one of them' : own ? 'yes' : 'no');

const ofClients = grouped(table(protocol, 'checked: client frames'));
const ofNodes = grouped(table(protocol, 'checked: node frames'));
const answers = grouped(table(protocol, 'checked: answers'));

test('there is a schema for every frame, and no other', () => {
  const frames = (/** @type {string} */ side) => [...files.keys()].filter((name) => name.startsWith(`${side}/`) && name !== `${side}/frame`).map((name) => name.slice(side.length + 1)).sort();
  assert.deepEqual(frames('client'), [...ofClients.keys()].sort());
  assert.deepEqual(frames('node'), [...ofNodes.keys(), ...[...answers.keys()].map((op) => `ack-${op}`)].sort());
  for (const side of ['client', 'node']) {
    const { oneOf, anyOf } = files.get(`${side}/frame`) ?? {};
    assert.deepEqual((oneOf ?? anyOf).map((/** @type {any} */ one) => one.$ref.replace('.json', '')).sort(), frames(side));
  }
});

for (const [op, rows] of ofClients) test(`client: ${op}`, () => assertSame(`client/${op}`, rows, required));
for (const [op, rows] of ofNodes) test(`node: ${op}`, () => assertSame(`node/${op}`, rows, present));
for (const [op, rows] of answers) test(`answer to ${op}`, () => assertSame(`node/ack-${op}`, rows, present));

test('the answer to a lookup, and problems', () => {
  const always = table(protocol, 'checked: lookup answer').map(([field, type]) => [field, type, 'always']);
  assertSame('lookup-answer', always, present);
  assertSame('problem', table(protocol, 'checked: problem').map(([field, type, when]) => [field, type, when]), present);
});

test('the ring document', () => {
  const fields = [...fieldsOf('ring')].filter(([field]) => field !== 'holders').map(([field, { type }]) => [field, type]);
  const told = table(protocol, 'checked: ring document').filter(([field]) => field !== 'holders').map(([field, type]) => [field, type]);
  assert.deepEqual(fields.sort(), told.sort());
  assert.equal(files.get('ring')?.properties.holders.items.minItems, 2);
});

test('the error codes', () => assert.deepEqual(files.get('error-code')?.enum, table(protocol, 'checked: error codes').map(([code]) => code)));

test('every file is JSON Schema 2020-12, and says what it is', () => {
  const ajv = new Ajv({ strict: false });
  for (const [name, schema] of files) {
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema', name);
    assert.ok(schema.title, name);
    assert.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`);
  }
});

test('unknown fields are ignored, and a strict reading finds them', () => {
  const frame = { op: 'recovered', topic: 'u:bob', recovered: true, later: 1 };
  assert.equal(loose('node/recovered', frame), undefined);
  assert.match(strict('node/recovered', frame) ?? '', /unevaluated/);
  const deep = { op: 'send', to: { user: 'bob', later: 1 }, data: { any: 'thing' } };
  assert.equal(loose('client/send', deep), undefined);
  assert.match(strict('client/send', deep) ?? '', /unevaluated/);
  assert.match(loose('client/send', { op: 'send', to: { user: 'a', group: 'b' }, data: 1 }) ?? '', /exactly one/);
});

test('an offset without its epoch is the beginning, as nodes have it', () => {
  const epoch = '00000000000000aa';
  for (const since of [{ offset: 0 }, { epoch, offset: 0 }, { epoch, offset: 7 }]) {
    assert.equal(loose('client/join', { op: 'join', group: 'x', since }), undefined);
    assert.equal(strict('client/hello', { op: 'hello', resume: { 'g:x': since } }), undefined);
  }
  for (const since of [{ offset: 7 }, { epoch }, { epoch: 'aa', offset: 7 }]) {
    assert.match(loose('client/join', { op: 'join', group: 'x', since }) ?? '', /since/);
    assert.match(loose('client/hello', { op: 'hello', resume: { 'g:x': since } }) ?? '', /resume/);
  }
  assert.match(strict('client/join', { op: 'join', group: 'x', since: { offset: 0, later: 1 } }) ?? '', /unevaluated/);
});
