/** One WebSocket, with the differences between platforms taken out. */
import type { SocketLike } from "../types.js";

/** How long a closing handshake may take: the end of `close()` waits for it. */
const CLOSE_MS = 700;

export interface Socket {
  write(text: string): void;
  /** No event follows. Resolves once the socket is closed, at the latest after {@link CLOSE_MS}. */
  drop(): Promise<void>;
}

/** `down` is called once, and last. */
export function openSocket(
  socket: SocketLike,
  opened: () => void,
  heard: (data: unknown) => void,
  down: (code: number, reason: string) => void,
): Socket {
  let over = false;
  const end = (code = 1006, reason = ""): void => {
    if (over) return;
    over = true;
    down(code, reason);
  };
  socket.onopen = () => {
    // After an opening, `close` follows an error everywhere, with its code.
    socket.onerror = () => {};
    opened();
  };
  socket.onmessage = (event: { data: unknown }) => heard(event.data);
  socket.onclose = (event: { code?: number; reason?: string }) => end(event.code, event.reason);
  // Node 22 fires no `close` after a failed opening.
  socket.onerror = () => end();
  return {
    write(text) {
      try {
        socket.send(text);
      } catch {
        // A closing socket: its close event is on the way, and what was not acknowledged is repeated.
      }
    },
    drop: () => shut(socket, over),
  };
}

/** To a silent peer Node fires no `close` for 50 s: an own timer, and `terminate` where there is one. */
function shut(socket: SocketLike & { terminate?: () => void }, over: boolean): Promise<void> {
  // Package `ws` throws errors that nobody listens for, so a listener stays.
  socket.onopen = socket.onmessage = socket.onerror = () => {};
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      socket.terminate?.();
      resolve();
    }, CLOSE_MS);
    const done = (socket.onclose = () => {
      clearTimeout(timer);
      resolve();
    });
    try {
      socket.close(1000);
    } catch {
      over = true;
    }
    if (over) done();
  });
}
