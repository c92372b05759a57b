/** Shows openapi.json: its operations by tag, what they take, what they answer. Text becomes text nodes, never markup. */

const METHODS = ['get', 'put', 'post', 'delete'];

/** An element with children: nodes, or strings that become text. */
const el = (name, attributes, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.flat());
  return element;
};

/** What the descriptions use of Markdown: code, bold. */
const inline = (text) => text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
  if (part.startsWith('`')) return el('code', null, part.slice(1, -1));
  if (part.startsWith('**')) return el('strong', null, part.slice(2, -2));
  return part;
});
const paragraphs = (text = '') => text.split('\n\n').filter(Boolean).map((one) => el('p', null, inline(one)));

/** A schema or parameter, whether it is there or elsewhere in the document. */
const resolved = (api, node) => node.$ref ? resolved(api, node.$ref.slice(2).split('/').reduce((at, key) => at[key], api)) : node;

/** A schema in a few words. */
function words(schema) {
  if (schema.$ref) return schema.$ref.split('/').at(-1);
  const several = schema.oneOf ?? schema.anyOf;
  if (several) return several.map(words).join(' or ');
  if (schema.allOf) return words(schema.allOf[0]);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if ('const' in schema) return JSON.stringify(schema.const);
  if (schema.type === 'array') return `[${words(schema.items ?? {})}]`;
  if (schema.properties) return `{${Object.keys(schema.properties).join(', ')}}`;
  return [schema.type ?? 'any JSON'].flat().join(' or ');
}

/** A schema's words, which lead to where it is explained. */
const named = (schema) => schema.$ref ? el('a', { href: `#schema-${words(schema)}` }, words(schema)) : el('code', null, words(schema));

const row = (...cells) => el('tr', null, cells.map((cell) => el('td', null, cell)));
const table = (head, rows) => el('table', null, el('thead', null, el('tr', null, head.map((cell) => el('th', null, cell)))), el('tbody', null, rows));
const example = ([name, { value }]) => el('details', null, el('summary', null, `Example: ${name}`), el('pre', null, JSON.stringify(value, null, 2)));

function content(media) {
  return Object.entries(media ?? {}).flatMap(([, { schema, examples }]) => [
    el('p', null, (schema.anyOf ?? [schema]).flatMap((one, i) => [i > 0 ? ' or ' : '', named(one)])),
    ...Object.entries(examples ?? {}).map(example),
  ]);
}

/** The codes that a problem may have. */
const codes = (media) => media?.['application/problem+json']?.schema.allOf?.[1].properties.code.enum ?? [];

function responses(api, operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const { description, content: media } = resolved(api, response);
    const told = codes(media);
    const more = told.length > 0 ? el('p', null, told.flatMap((code) => [el('code', null, code), ' '])) : content(media);
    return row(el('strong', null, status), [...paragraphs(description), more].flat());
  });
  return table(['status', ''], rows);
}

function shown(api, path, method, operation, shared) {
  const parameters = [...(shared ?? []), ...(operation.parameters ?? [])].map((parameter) => resolved(api, parameter));
  const rows = parameters.map(({ name, in: place, required, schema, description }) =>
    row(el('code', null, name), `${place}${required ? ', required' : ''}`, named(schema), inline(description ?? '')));
  const open = (operation.security ?? []).length === 0 ? 'Needs no authorization.' : `Authorization: ${operation.security.map((one) => Object.keys(one)[0] ?? 'none').join(' or ')}.`;
  return [
    el('h3', { id: operation.operationId }, el('span', { class: 'method' }, method.toUpperCase()), ' ', el('code', null, path)),
    el('p', null, el('strong', null, operation.summary)),
    ...paragraphs(operation.description),
    el('p', null, open),
    ...(rows.length > 0 ? [table(['parameter', 'in', 'type', ''], rows)] : []),
    ...(operation.requestBody ? [el('h4', null, 'Body'), ...content(operation.requestBody.content)] : []),
    el('h4', null, 'Answers'),
    responses(api, operation),
  ];
}

function schemas(api) {
  const rows = Object.entries(api.components.schemas).map(([name, schema]) => {
    const fields = Object.entries(schema.properties ?? {}).map(([field, value]) =>
      row(el('code', null, field), schema.required?.includes(field) ? 'always' : 'sometimes', named(value), inline(resolved(api, value).description ?? '')));
    return [el('h3', { id: `schema-${name}` }, name), ...paragraphs(schema.description), fields.length > 0 ? table(['field', '', 'type', ''], fields) : el('p', null, el('code', null, words(schema)))];
  });
  return [el('h2', null, 'Schemas'), ...rows.flat()];
}

const api = await (await fetch('openapi.json')).json();
const operations = Object.entries(api.paths).flatMap(([path, item]) =>
  METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method], shared: item.parameters })));
document.querySelector('nav').replaceChildren(el('ul', null, operations.map(({ path, method, operation }) =>
  el('li', null, el('span', { class: 'method' }, method.toUpperCase()), ' ', el('a', { href: `#${operation.operationId}` }, path)))));
document.querySelector('main').replaceChildren(
  ...paragraphs(api.info.description),
  ...api.tags.flatMap(({ name, description }) => [
    el('h2', null, name), ...paragraphs(description),
    ...operations.filter(({ operation }) => operation.tags.includes(name)).flatMap(({ path, method, operation, shared }) => shown(api, path, method, operation, shared)),
  ]),
  ...schemas(api),
);
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
