/** JSON as the documents are written: what fits into a line stands in one. */

const WIDTH = 160;

/** @param {unknown} value @returns {string} without a newline at its end */
export function print(value, indent = 0, before = 0) {
  const line = inline(value);
  if (typeof value !== 'object' || value === null || before + indent + line.length <= WIDTH - 1) return line;
  const pad = ' '.repeat(indent + 2);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const parts = Array.isArray(value)
    ? value.map((item) => print(item, indent + 2))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${print(item, indent + 2, JSON.stringify(name).length + 2)}`);
  return `${open}\n${parts.map((part) => pad + part).join(',\n')}\n${' '.repeat(indent)}${close}`;
}

/** @param {unknown} value @returns {string} */
function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${inline(item)}`).join(', ')}}`;
}
