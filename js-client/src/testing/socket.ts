/** A WebSocket whose other end is in this process. Frames take the cluster's delay, and never overtake each other. */
import type { SocketLike } from "../types.js";

/** The other end. */
export interface Peer {
  heard(text: string): void;
  /** The client closed, or the socket broke. */
  gone(): void;
}

/** What decides when a frame arrives. */
export interface Wire {
  delayMs: number;
}

/** Gives the other end of a new socket, or undefined where nobody listens. */
export type Listener = (socket: FakeSocket, url: string, protocols: readonly string[]) => Peer | undefined;

export class FakeSocket implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onerror: SocketLike["onerror"] = null;
  onclose: SocketLike["onclose"] = null;
  /** As a WebSocket's: 0 connecting, 1 open, 2 closing, 3 closed. */
  readyState = 0;
  /** Frames vanish in both directions. */
  silent = false;
  #peer: Peer | undefined;
  readonly #wire: Wire;
  readonly #down: (() => void)[] = [];
  readonly #up: (() => void)[] = [];

  constructor(wire: Wire, listener: Listener, url: string, protocols: readonly string[]) {
    this.#wire = wire;
    this.#later(this.#down, () => {
      if (this.readyState !== 0) return;
      this.#peer = listener(this, url, protocols);
      if (!this.#peer) return this.#end(1006, "");
      this.readyState = 1;
      this.onopen?.({});
    });
  }

  /** By the client. */
  send(text: string): void {
    if (this.readyState === 0) throw new Error("the socket is not open yet");
    if (this.readyState === 1 && !this.silent) this.#later(this.#up, () => this.readyState === 1 && this.#peer?.heard(text));
  }

  /** By the client. */
  close(code = 1000, reason = ""): void {
    if (this.readyState >= 2) return;
    this.readyState = 2;
    this.#later(this.#up, () => this.#end(code, reason));
  }

  /** By the node. */
  deliver(text: string): void {
    if (!this.silent) this.#later(this.#down, () => this.readyState === 1 && this.onmessage?.({ data: text }));
  }

  /** By the node, after what it has sent before. */
  finish(code: number, reason: string): void {
    if (!this.silent) this.#later(this.#down, () => this.#end(code, reason));
  }

  /** By nobody: it breaks at once. */
  cut(): void {
    this.#end(1006, "");
  }

  #end(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#peer?.gone();
    this.onclose?.({ code, reason });
  }

  /** Whoever comes first in the queue is done first, whatever the delays are. */
  #later(queue: (() => void)[], run: () => void): void {
    queue.push(run);
    setTimeout(() => queue.shift()?.(), this.#wire.delayMs);
  }
}
