/** The project's documents as tests read them: their texts, links, tables and code blocks. */
import path from 'node:path';
import { REPOSITORY } from '../harness/binaries.mjs';
import { filesIn, read } from './source.mjs';

/** @typedef {{ file: string, text: string }} Document `file` is relative to the repository */

/** Every Markdown file of the repository. @returns {Document[]} */
export function documents() {
  return filesIn(REPOSITORY, ['.md']).map((file) => ({ file: path.relative(REPOSITORY, file), text: read(file) }));
}

/** One document. @param {string} file @returns {string} */
export const text = (file) => read(path.join(REPOSITORY, file));

/** Its text without code: no fences, no inline code. @param {string} text */
export const prose = (text) => text.replace(/^( *)(`{3,}|~{3,})[\s\S]*?^\1\2[^\n]*$/gm, '').replace(/`[^`\n]*`/g, '');

/** The targets of its links and images. @param {string} text @returns {string[]} */
export const links = (text) => [...prose(text).matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/gm)].map((match) => match[1] ?? match[2]);

/** The anchors of its headings, as GitHub makes them, and those it sets itself. @param {string} text @returns {Set<string>} */
export function anchors(text) {
  const found = new Set([...text.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1]));
  for (const [, heading] of text.replace(/^(`{3,}|~{3,})[\s\S]*?^\1[^\n]*$/gm, '').matchAll(/^#{1,6} (.+)$/gm)) {
    const anchor = heading.toLowerCase().replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[^\p{L}\p{N} _-]/gu, '').trim().replace(/ /g, '-');
    let unique = anchor;
    for (let i = 1; found.has(unique); i++) unique = `${anchor}-${i}`;
    found.add(unique);
  }
  return found;
}

/** The rows of the table after a mark, their cells without backquotes. @param {string} text @param {string} mark @returns {string[][]} */
export function table(text, mark) {
  const lines = text.split(`<!-- ${mark} -->\n`)[1]?.split('\n') ?? [];
  const rows = lines.slice(0, lines.findIndex((line) => !line.startsWith('|'))).slice(2);
  return rows.map((row) => row.replace(/^\||\|$/g, '').split('|').map((cell) => cell.trim().replaceAll('`', '')));
}

/** The code blocks after a mark, in order. @param {string} text @param {string} mark @returns {string[]} */
export function blocks(text, mark) {
  return text.split(`<!-- ${mark} -->\n`).slice(1).map((rest) => /^```\w*\n([\s\S]*?)^```$/m.exec(rest)?.[1] ?? '');
}
