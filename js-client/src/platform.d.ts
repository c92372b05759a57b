// The only globals the client may name. Compiled without DOM and Node types, so that `document`, `process`, `Buffer`
// and friends do not compile: the package runs in browsers, Node, React Native, Bun and Deno alike.

declare function setTimeout(callback: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function queueMicrotask(callback: () => void): void;

declare class AbortController {
  readonly signal: import("./types.js").Signal;
  abort(reason?: unknown): void;
}
