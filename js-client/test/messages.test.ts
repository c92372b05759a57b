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
});
