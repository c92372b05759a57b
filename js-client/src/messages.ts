/** Messages for `for await`. */
import { RingdialError } from "./errors.js";
import type { Message, MessagesOptions } from "./types.js";

/** What messages come from. Each function adds a listener and returns its removal. */
export interface Source<Data> {
  message(listener: (message: Message<Data>) => void): () => void;
  /** Nothing more comes; with an error, because of that. */
  end(listener: (error?: RingdialError) => void): () => void;
}

/** Begins to listen at once, and ends with `return()`, the signal, or the source. */
export function messagesOf<Data>(source: Source<Data>, { signal, buffer = 1_000 }: MessagesOptions = {}): AsyncIterableIterator<Message<Data>> {
  const held: Message<Data>[] = [];
  const waiting: (() => void)[] = [];
  let over = false;
  let failure: RingdialError | undefined;
  const end = (error?: RingdialError): void => {
    if (over) return;
    over = true;
    failure = error;
    for (const off of offs) off();
    signal?.removeEventListener("abort", abort);
    for (const wake of waiting.splice(0)) wake();
  };
  const abort = (): void => end();
  const take = (message: Message<Data>): void => {
    if (held.push(message) > buffer) end(new RingdialError("overflow", "", false));
    waiting.shift()?.();
  };
  const offs = [source.message(take), source.end(end)];
  if (signal?.aborted) end();
  signal?.addEventListener("abort", abort);
  /** What came before the end is still given. */
  const next = async (): Promise<IteratorResult<Message<Data>>> => {
    for (;;) {
      const value = held.shift();
      if (value) return { value, done: false };
      if (over) break;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    const error = failure;
    failure = undefined;
    if (error) throw error;
    return { value: undefined, done: true };
  };
  return {
    next,
    async return() {
      held.length = 0;
      end();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
