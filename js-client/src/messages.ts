/** Messages for `for await`. */
import { RingdialError } from "./errors.js";
import type { Message, MessagesOptions } from "./types.js";

/** What messages come from. Each function adds a listener and returns its removal. */
export interface Source<Data> {
  message(listener: (message: Message<Data>) => void): () => void;
  /** Nothing will come any more: why, if that was an error. */
  readonly ended: readonly (RingdialError | undefined)[] | undefined;
  /** Nothing more comes; with an error, because of that. */
  end(listener: (error?: RingdialError) => void): () => void;
}

/** Listens at once, until `break`, the signal, or the end of the source. What came before that is still given. */
export function messagesOf<Data>(source: Source<Data>, { signal, buffer = 1_000 }: MessagesOptions = {}): AsyncIterableIterator<Message<Data>> {
  const held: Message<Data>[] = [];
  let over = false;
  let failure: RingdialError | undefined;
  let wake = (): void => {};
  const end = (error?: RingdialError): void => {
    if (!over) failure = error;
    over = true;
    stop();
    signal?.removeEventListener("abort", abort);
    leave();
    wake();
  };
  const abort = (): void => end();
  const stop = source.message((message) => {
    if (held.push(message) > buffer) end(new RingdialError("overflow", "read faster, or with a larger buffer", false));
    wake();
  });
  const leave = source.end(end);
  signal?.addEventListener("abort", abort);
  const { ended } = source;
  if (ended) end(ended[0]);
  if (signal?.aborted) end();
  const loop = (async function* () {
    for (;;) {
      while (held[0]) yield held.shift() as Message<Data>;
      if (failure) throw failure;
      if (over) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
  // A generator that has not begun, or that waits, does not run its `finally` by these.
  for (const name of ["return", "throw"] as const) {
    const finish = loop[name].bind(loop);
    loop[name] = (value) => {
      end();
      return finish(value);
    };
  }
  return loop;
}
