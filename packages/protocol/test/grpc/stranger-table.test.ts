import { describe, expect, it } from "vitest";
import { networkOf } from "../../src/grpc/peer-network.js";
import { createStrangerTable } from "../../src/grpc/stranger-table.js";

interface Peer {
  readonly name: string;
  readonly socket: { remoteAddress: string; bytesRead: number };
}

function setUp(...peers: readonly (readonly [name: string, remoteAddress: string])[]) {
  const table = createStrangerTable<Peer>();
  const made = peers.map(([name, remoteAddress]) => ({ name, socket: { remoteAddress, bytesRead: 0 } }));
  for (const peer of made) table.add(peer.name, peer);
  const send = (name: string, bytes: number): void => {
    const socket = table.get(name)?.socket;
    if (socket !== undefined) socket.bytesRead += bytes;
  };
  return { table, made, send };
}

describe("the network of a peer", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["2001:DB8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::9", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ])("T5: of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe("strangers", () => {
  it("T5: of the network that has most give way, the oldest first, so that no crowd shuts others out", () => {
    const { table } = setUp(["a", "10.0.0.1"], ["b", "2001:db8::1"], ["c", "2001:db8::2"], ["d", "10.0.0.2"]);
    expect(table.mostCrowded()?.name).toBe("b");
    table.remove("b");
    expect(table.mostCrowded()?.name).toBe("a");
    table.remove("a");
    table.remove("c");
    table.remove("d");
    expect([table.mostCrowded(), table.size, table.remove("d")]).toEqual([undefined, 0, undefined]);
  });

  it("T5: that sent most are named until the rest is within the bound of all; one over its own bound always is", () => {
    const { table, send } = setUp(["a", "10.0.0.1"], ["b", "10.0.0.1"], ["c", "10.0.0.1"]);
    send("a", 10);
    send("b", 30);
    send("c", 20);
    const heaviest = (each: number, all: number) => table.heaviest({ each, all }).map(({ name }) => name);
    expect(heaviest(30, 60)).toEqual([]);
    expect(heaviest(30, 59)).toEqual(["b"]);
    expect(heaviest(30, 29)).toEqual(["b", "c"]);
    expect(heaviest(15, 60)).toEqual(["b", "c"]);
  });

  it("T5: do not answer for what they sent before they became strangers again", () => {
    const { table, made, send } = setUp(["a", "10.0.0.1"]);
    send("a", 100);
    table.remove("a");
    for (const peer of made) table.add(peer.name, peer);
    send("a", 5);
    expect(table.heaviest({ each: 5, all: 5 })).toEqual([]);
    expect(table.heaviest({ each: 4, all: 5 })).toHaveLength(1);
  });
});
