/** The measuring itself: what it takes for a function, a string, a comment. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { codeOnly, rustFunctions, rustTestModules, typescriptFunctions } from './source.mjs';

test('comments, strings, characters are blanked out, lifetimes stay', () => {
  const rust = `let a = "fn x() {"; // fn y() {\nlet b = r#"}"{"#; let c = '{'; fn f<'a>(x: &'a str, y: &'a u8) {} /* } */ let d = '\\u{7f}';`;
  const code = codeOnly(rust, 'rust');
  assert.equal(code.length, rust.length);
  assert.deepEqual(code.match(/[{}]/g), ['{', '}']);
  assert.match(code, /fn f<'a>\(x: &'a str, y: &'a u8\)/);
  assert.equal(codeOnly('a = `{${b}`; r = /[/{]+/g; // {', 'typescript').replace(/ +/g, ' ').trim(), 'a = ; r = ;');
});

test('functions of Rust are measured from signature to brace', () => {
  const text = `
trait T { fn declared(&self) -> [u8; 4]; }
fn one() -> [u8; 16] { [0; 16] }
impl X {
    pub async fn three(
        &self, a: [u8; 2]) -> u8
    where Self: Sized {
        if a { "}" } else { 'x' }
    }
}`;
  assert.deepEqual(rustFunctions(text), [{ name: 'one', line: 3, lines: 1 }, { name: 'three', line: 5, lines: 5 }]);
});

test('functions of TypeScript are measured, blocks are not', () => {
  const text = `export function named(a: string): void {
  if (a) { b(); }
  for (const x of y) { z(); }
}
const arrow = (a: number) => {
  return a;
};
class C {
  method<T>(a: T): T {
    return a;
  }
}`;
  assert.deepEqual(typescriptFunctions(text).map(({ name, lines }) => [name, lines]), [['named', 4], ['=>', 3], ['method', 3]]);
});

test('test modules are measured', () => {
  assert.deepEqual(rustTestModules('fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n'), [{ name: 'tests', line: 2, lines: 4 }]);
  assert.deepEqual(rustTestModules('#[cfg(test)]\nmod tests;\n'), []);
});
