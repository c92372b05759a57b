/** Reading source code just well enough to measure it: Rust and TypeScript without their comments and strings. */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const SKIPPED = new Set(['node_modules', 'target', 'dist', '.git', 'out', '.venv', '.jvm']);

/** Every file below a folder whose name ends so. @param {string} folder @param {string[]} endings @returns {string[]} */
export function filesIn(folder, endings) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : filesIn(file, endings);
    return endings.some((ending) => entry.name.endsWith(ending)) ? [file] : [];
  });
}

/** @param {string} file */
export const read = (file) => readFileSync(file, 'utf8');

/** @param {string} text */
export const lineCount = (text) => text.replace(/\n$/, '').split('\n').length;

/**
 * The text with every comment, string and character literal blanked out; lines and columns stay where they are.
 * @param {string} text @param {'rust' | 'typescript'} language
 */
export function codeOnly(text, language) {
  const literals = language === 'rust' ? RUST : TYPESCRIPT;
  return text.replace(literals, (match) => match.replace(/[^\n]/g, ' '));
}

const COMMENTS = String.raw`\/\/[^\n]*|\/\*[\s\S]*?\*\/`;
// Raw strings first, then strings, then characters - which must not be mistaken for lifetimes ('a).
const RUST = new RegExp(`${COMMENTS}|b?r(#+)"[\\s\\S]*?"\\1|b?r"[^"]*"|b?"(?:\\\\[\\s\\S]|[^"\\\\])*"|b?'(?:\\\\(?:u\\{[^}]*\\}|x..|.)|[^'\\\\\\n])'`, 'g');
// A regular expression literal stands where a value is expected: after one of these or at a line's beginning.
const REGEX = String.raw`(?<=[=(,:[!&|?{};\n]\s*|return\s)\/(?![*\/])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^\/\n\\[])+\/[a-z]*`;
const TYPESCRIPT = new RegExp(`${COMMENTS}|"(?:\\\\.|[^"\\\\\\n])*"|'(?:\\\\.|[^'\\\\\\n])*'|\`(?:\\\\[\\s\\S]|[^\`\\\\])*\`|${REGEX}`, 'g');

/** @typedef {{ name: string, line: number, lines: number }} Measured */

/** Every function with its length, from its signature to its last brace. @param {string} text @returns {Measured[]} */
export function rustFunctions(text) {
  const code = codeOnly(text, 'rust');
  return [...code.matchAll(/\bfn\s+(\w+)/g)].flatMap((match) => {
    const body = /[{;]/g;
    body.lastIndex = endOfSignature(code, match.index);
    const found = body.exec(code);
    if (!found || found[0] === ';') return [];
    return [measured(code, match[1], match.index, closing(code, found.index))];
  });
}

/** @param {string} text @returns {Measured[]} */
export function typescriptFunctions(text) {
  const code = codeOnly(text, 'typescript');
  const found = [];
  for (const match of code.matchAll(/(=>|\)(?:\s*:\s*[^;{}()=]+)?)\s*\{/g)) {
    const open = match.index + match[0].length - 1;
    const head = code.slice(0, match.index + 1);
    const start = match[0].startsWith(')') ? opening(code, match.index) : match.index;
    const word = /(\w+)\s*(?:<[^<>()]*>)?\s*$/.exec(head.slice(0, match[0].startsWith(')') ? start : match.index))?.[1] ?? '=>';
    if (['if', 'for', 'while', 'switch', 'catch', 'with'].includes(word)) continue;
    found.push(measured(code, word, start, closing(code, open)));
  }
  return found;
}

/** Inline test modules. @param {string} text @returns {Measured[]} */
export function rustTestModules(text) {
  const code = codeOnly(text, 'rust');
  return [...code.matchAll(/#\[cfg\(test\)\]\s*mod\s+(\w+)\s*\{/g)].map((match) =>
    measured(code, match[1], match.index, closing(code, match.index + match[0].length - 1)));
}

/** @param {string} code @param {string} name @param {number} from @param {number} to @returns {Measured} */
function measured(code, name, from, to) {
  const line = lineCount(code.slice(0, from + 1));
  return { name, line, lines: lineCount(code.slice(0, to + 1)) - line + 1 };
}

/** Past the parameters, where array types like [u8; 2] have their own semicolons. @param {string} code @param {number} at */
function endOfSignature(code, at) {
  const open = code.indexOf('(', at);
  const end = matching(code, open, '(', ')', 1);
  // `-> [u8; 16] {`: skip a bracketed return type.
  const arrow = /^\s*->\s*[^{;[]*\[/.exec(code.slice(end + 1));
  return arrow ? matching(code, end + arrow[0].length, '[', ']', 1) : end;
}

/** @param {string} code @param {number} open @returns {number} where the brace opened there closes */
const closing = (code, open) => matching(code, open, '{', '}', 1);

/** @param {string} code @param {number} close @returns {number} where the parenthesis closed there opens */
const opening = (code, close) => matching(code, close, ')', '(', -1);

/** @param {string} code @param {number} at @param {string} up @param {string} down @param {1 | -1} step */
function matching(code, at, up, down, step) {
  let depth = 0;
  for (let i = at; i >= 0 && i < code.length; i += step) {
    if (code[i] === up) depth++;
    else if (code[i] === down && --depth === 0) return i;
  }
  return step === 1 ? code.length - 1 : 0;
}
