/** What the platform tells of the page and the network, where it does: browsers, not Node or React Native. */
import type { Runner } from "./runner.js";

/** Back from the back/forward cache, from a sleep, from another tab; and the network, of which the words are not to be trusted. */
const EVENTS = ["online", "offline", "pageshow", "resume", "visibilitychange"];

interface Platform {
  readonly document?: { readonly hidden: boolean };
  readonly navigator?: { readonly onLine?: boolean };
  addEventListener?(name: string, listener: () => void, capture: boolean): void;
  removeEventListener?(name: string, listener: () => void, capture: boolean): void;
}

/** Gives a function that listens, or no longer does. Listening twice is the same as once. What is so when it begins is told, too. */
export function pageOf(dispatch: Runner["dispatch"]): (listen: boolean) => void {
  const platform = globalThis as unknown as Platform;
  let listens = false;
  const tell = (): boolean => {
    const hidden = platform.document?.hidden ?? false;
    dispatch("away", hidden || platform.navigator?.onLine === false);
    return hidden;
  };
  const changed = (): void => {
    if (!tell()) dispatch("wake");
  };
  return (listen) => {
    if (listen && !listens) tell();
    listens = listen;
    // Captured: `resume` comes to the document and does not bubble.
    for (const name of EVENTS) platform[listen ? "addEventListener" : "removeEventListener"]?.(name, changed, true);
  };
}
