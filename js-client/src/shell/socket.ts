/** One WebSocket, with the differences between platforms taken out. */
import type { SocketLike, WebSocketConstructor } from "../types.js";

/** How long a closing handshake may take: the end of `close()` waits for it. */
const CLOSE_MS = 900;
const ABNORMAL = 1006;

export interface SocketEvents {
  opened(): void;
  heard(data: unknown): void;
  /** Once, and the last event. */
  down(code: number, reason: string): void;
}

export interface Socket {
  write(text: string): void;
  /** No event follows. Resolves once the socket is closed, at the latest after {@link CLOSE_MS}. */
  drop(): Promise<void>;
}

const ignore = (): void => {};

/** Throws what the constructor throws: a bad url or protocol. */
export function openSocket(
  WebSocket: WebSocketConstructor,
  url: string,
  protocols: readonly string[],
  events: SocketEvents,
): Socket {
  const socket = new WebSocket(url, [...protocols]);
  let opened = false;
  let down = false;
  const end = (code: number, reason: string): void => {
    if (down) return;
    down = true;
    events.down(code, reason);
  };
  socket.onopen = () => {
    opened = true;
    events.opened();
  };
  socket.onmessage = (event: { data: unknown }) => events.heard(event.data);
  socket.onclose = (event: { code?: number; reason?: string }) => end(event.code ?? ABNORMAL, event.reason ?? "");
  // Node 22 fires no `close` after a failed opening. After an opening, `close` follows everywhere, with its code.
  socket.onerror = () => {
    if (!opened) end(ABNORMAL, "");
  };
  return {
    write(text) {
      try {
        socket.send(text);
      } catch {
        // A closing socket: its close event is on the way, and what was not acknowledged is repeated.
      }
    },
    drop() {
      const gone = down;
      down = true;
      return gone ? Promise.resolve(silence(socket)) : shut(socket);
    },
  };
}

/** Package `ws` throws errors that nobody listens for, so a listener stays. */
function silence(socket: SocketLike): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.onerror = ignore;
}

/** To a silent peer Node fires no `close` for 50 s: an own timer, and `terminate` where there is one. */
function shut(socket: SocketLike): Promise<void> {
  silence(socket);
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      silence(socket);
      resolve();
    };
    const timer = setTimeout(() => {
      (socket as SocketLike & { terminate?: () => void }).terminate?.();
      done();
    }, CLOSE_MS);
    socket.onclose = done;
    try {
      socket.close(1000);
    } catch {
      done();
    }
  });
}
