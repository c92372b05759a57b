/** Messages by `for await`. */
import { afterEach, describe, expect, it } from "vitest";
import { durable, joined, scene, settled, stage } from "./scene.js";

afterEach(() => stage.end());

describe("a loop over a group's messages", () => {
  it("is given each once and in order, from its beginning on, and ends with leave()", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    peer.send(durable("g:x", 6));
    await settled(peer);
    const got: unknown[] = [];
    const loop = (async () => {
      for await (const { offset } of group.messages()) got.push(offset);
    })();
    for (const offset of [7, 7, 8]) peer.send(durable("g:x", offset));
    await settled(peer);
    await group.leave();
    await loop;
    expect(got).toEqual([6, 7, 8]);
  });

  it("ends with break, and hears nothing more; another one goes on", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const other = group.messages();
    for (const offset of [6, 7]) peer.send(durable("g:x", offset));
    for await (const { offset } of group.messages()) {
      expect(offset).toBe(6);
      break;
    }
    expect([(await other.next()).value?.offset, (await other.next()).value?.offset]).toEqual([6, 7]);
    expect(await other.return?.()).toMatchObject({ done: true });
  });

  it("ends with its signal, and with close(); throws what stopped the client", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const abort = new AbortController();
    const [one, two] = [group.messages({ signal: abort.signal }), group.messages()];
    const first = one.next();
    abort.abort();
    expect([await first, await group.messages({ signal: abort.signal }).next()]).toMatchObject([{ done: true }, { done: true }]);
    const second = two.next();
    await client.close();
    expect(await second).toMatchObject({ done: true });
  });

  it("throws what stopped the client, after what came before", async () => {
    const { client, peer } = await scene();
    const loop = (await joined(client, peer)).messages();
    peer.send(durable("g:x", 6));
    await settled(peer);
    peer.socket.close(4409);
    expect((await loop.next()).value).toMatchObject({ offset: 6 });
    await expect(loop.next()).rejects.toMatchObject({ code: "close_4409" });
    expect(await loop.next()).toMatchObject({ done: true });
  });

  it("throws rather than drop messages when it falls behind", async () => {
    const { client, peer } = await scene();
    const loop = (await joined(client, peer)).messages({ buffer: 2 });
    for (const offset of [6, 7, 8]) peer.send(durable("g:x", offset));
    await settled(peer);
    const given = [await loop.next(), await loop.next(), await loop.next()].map(({ value }) => value?.offset);
    expect(given).toEqual([6, 7, 8]);
    await expect(loop.next()).rejects.toMatchObject({ code: "overflow", message: expect.stringContaining("buffer") });
  });

  it.each([
    ["return()", (loop: AsyncIterator<unknown>) => loop.return?.()],
    ["throw()", (loop: AsyncIterator<unknown>) => loop.throw?.(new Error("enough")).catch((error: Error) => error)],
  ])("ends with %s: before the first next(), within one that waits, and between two", async (_, finish) => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const unread = Array.from({ length: 2 }, () => group.messages({ buffer: 1 }));
    for (const loop of unread) await finish(loop);
    const waiting = group.messages();
    const next = waiting.next();
    await finish(waiting);
    expect(await next).toMatchObject({ done: true });
    const read = group.messages({ buffer: 1 });
    peer.send(durable("g:x", 6));
    expect(await read.next()).toMatchObject({ value: { offset: 6 } });
    await finish(read);
    for (const offset of [7, 8, 9]) peer.send(durable("g:x", offset));
    await settled(peer);
    // Whoever still listened would have an overflow, or messages.
    for (const loop of [...unread, waiting, read]) expect(await loop.next()).toMatchObject({ done: true });
  });

  it("ends with what a loop's body throws, as with break", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const loop = group.messages({ buffer: 1 });
    peer.send(durable("g:x", 6));
    const body = async (): Promise<void> => {
      for await (const { offset } of loop) throw new Error(`at ${offset}`);
    };
    await expect(body()).rejects.toThrow("at 6");
    for (const offset of [7, 8]) peer.send(durable("g:x", offset));
    await settled(peer);
    expect(await loop.next()).toMatchObject({ done: true });
  });
});
