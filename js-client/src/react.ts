/** `ringdial/react`: a client in a tree of React 18 or newer. Nothing is done while rendering, so StrictMode and servers do no harm. */
"use client";
import { createContext, createElement, type ReactNode, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Client, Events, Group, GroupEvents, GroupOptions, PresenceChange, Status } from "./types.js";

const Context = /* @__PURE__ */ createContext<Client<any> | undefined>(undefined);

/** How many providers hold a client. The last one's end closes it, a little later: StrictMode and refreshes end and begin again at once. */
const holders = /* @__PURE__ */ new WeakMap<Client<any>, number>();

const IDLE: Status = { state: "idle" };
const NOBODY: Present = { count: 0, users: [] };

export interface ProviderProps {
  /** Of `createClient(..)`, made once: outside of components, or in `useState(() => createClient(..))`. */
  readonly client: Client<any>;
  /** Whether to connect it when the provider is mounted, and to close it after the last one's end. True by default; else that is yours. */
  readonly connect?: boolean;
  readonly children?: ReactNode;
}

/** Gives a client to the hooks below it, and connects it. That it cannot, {@link useStatus} and the event `error` tell. */
export function RingdialProvider({ client, connect = true, children }: ProviderProps): ReactNode {
  useEffect(() => {
    if (!connect) return;
    holders.set(client, (holders.get(client) ?? 0) + 1);
    client.connect().catch(() => {});
    return () => {
      holders.set(client, (holders.get(client) ?? 0) - 1);
      setTimeout(() => holders.get(client) || void client.close(), 0);
    };
  }, [client, connect]);
  return createElement(Context.Provider, { value: client }, children);
}

/** The provider's client. */
export function useClient<Data = unknown>(): Client<Data> {
  const client = useContext(Context);
  if (!client) throw new Error("no <RingdialProvider> above");
  return client;
}

/** Where the client stands; `idle` on the server. */
export function useStatus(): Status {
  const client = useClient();
  const [subscribe, snapshot] = useMemo(() => {
    let last: Status | undefined;
    const fields = (status: Status): string => JSON.stringify({ ...status, cause: "cause" in status && status.cause?.code });
    return [
      (changed: () => void) => {
        const offs = [client.on("status", changed), client.on("moved", changed)];
        return () => offs.forEach((off) => off());
      },
      // The same object until something changes.
      () => (last && fields(last) === fields(client.status) ? last : (last = client.status)),
    ] as const;
  }, [client]);
  return useSyncExternalStore(subscribe, snapshot, () => IDLE);
}

/** Calls `listener`, always the newest one, for each event of the client. */
export function useEvent<Data, K extends keyof Events>(name: K, listener: (value: Events<Data>[K]) => void): void;
/** The same of a group: of {@link useGroup}, `null` while there is none. */
export function useEvent<Data, K extends keyof GroupEvents>(
  name: K,
  listener: (value: GroupEvents<Data>[K]) => void,
  group: Group<Data> | null,
): void;
export function useEvent(name: any, listener: (value: any) => void, group?: Group<any> | null): void {
  const client = useClient();
  const source: { on(name: any, listener: (value: any) => void): () => void } | null = group === undefined ? client : group;
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => source?.on(name, (value) => latest.current(value)), [source, name]);
}

/** Uses a group as long as the component is there, or until another name comes. `null` at first, on the server, and without a name. */
export function useGroup<Data = unknown>(name: string | null | undefined, options: GroupOptions = {}): Group<Data> | null {
  const client = useClient<Data>();
  const [group, setGroup] = useState<Group<Data> | null>(null);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const presence = !!options.presence;
  useEffect(() => {
    if (!name) return;
    const handle = client.group<Data>(name, { ...latest.current, presence });
    setGroup(handle);
    return () => {
      setGroup(null);
      // If it is used again at once it is not left in between.
      setTimeout(() => void handle.leave(), 0);
    };
  }, [client, name, presence]);
  return group?.name === name ? group : null;
}

/** Who is in a group. */
export interface Present {
  readonly count: number;
  /** Absent above 1,000. */
  readonly users?: readonly string[];
}

/** Who is in a group, which it uses meanwhile. Nobody at first, on the server, and without a name. */
export function usePresence(name: string | null | undefined): Present {
  const group = useGroup(name, { presence: true });
  const [present, setPresent] = useState(NOBODY);
  useEffect(() => {
    if (!group) return;
    let told = false;
    const off = group.on("presence", (change) => {
      told ||= !!change.users;
      setPresent((before) => after(before, change));
    });
    // Another use of the group may have been told before.
    const asked = group.joined.then(() => (told ? undefined : group.presence()));
    asked.then((members) => members && !told && setPresent(members)).catch(() => {});
    return () => {
      told = true;
      off();
      setPresent(NOBODY);
    };
  }, [group]);
  return present;
}

function after({ users }: Present, { count, users: all, joined = [], left }: PresenceChange): Present {
  if (all || !users || count > 1_000) return all ? { count, users: all } : { count };
  return { count, users: [...new Set([...users, ...joined])].filter((user) => !left?.includes(user)) };
}
