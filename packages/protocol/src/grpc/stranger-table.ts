/**
 * The connections of strangers by network, oldest first, and what they sent; says which one has to give way.
 *
 * (T1) Whoever takes most gives way first, so that a crowd from one network never shuts the others out.
 * (T2) What a stranger sent bounds what the server can hold for it: grpc-js keeps the messages of calls that are not finished.
 */
import type { Socket } from "node:net";
import { networkOf } from "./peer-network.js";

/** A connection as the table knows it. */
export interface TableEntry {
  readonly socket: Pick<Socket, "remoteAddress" | "bytesRead">;
}

/** The connections of strangers. */
export interface StrangerTable<Entry extends TableEntry> {
  readonly size: number;
  get(peer: string): Entry | undefined;
  /** Takes one in; what it sent before does not count. */
  add(peer: string, entry: Entry): void;
  /** Gives what was there. */
  remove(peer: string): Entry | undefined;
  /** The oldest one of the network that has most (T1). */
  mostCrowded(): Entry | undefined;
  /** Those over `each`, then the largest ones until the rest is within `all`; bytes (T2). */
  heaviest(limits: { readonly each: number; readonly all: number }): Entry[];
}

interface Row<Entry> {
  readonly entry: Entry;
  readonly network: string;
  readonly sentBefore: number;
}

/** Makes an empty table. */
export function createStrangerTable<Entry extends TableEntry>(): StrangerTable<Entry> {
  const rows = new Map<string, Row<Entry>>();
  const networks = new Map<string, Set<Entry>>();
  return {
    get size() {
      return rows.size;
    },
    get: (peer) => rows.get(peer)?.entry,
    add(peer, entry) {
      const network = networkOf(entry.socket.remoteAddress ?? "");
      rows.set(peer, { entry, network, sentBefore: entry.socket.bytesRead });
      networks.set(network, (networks.get(network) ?? new Set()).add(entry));
    },
    remove(peer) {
      const row = rows.get(peer);
      if (row === undefined) return undefined;
      rows.delete(peer);
      const others = networks.get(row.network);
      others?.delete(row.entry);
      if (others?.size === 0) networks.delete(row.network);
      return row.entry;
    },
    mostCrowded() {
      let crowd: ReadonlySet<Entry> = new Set();
      for (const entries of networks.values()) if (entries.size > crowd.size) crowd = entries;
      return crowd.values().next().value;
    },
    heaviest({ each, all }) {
      const sent = [...rows.values()].map(({ entry, sentBefore }) => ({
        entry,
        bytes: entry.socket.bytesRead - sentBefore,
      }));
      let left = sent.reduce((sum, { bytes }) => sum + bytes, 0);
      if (left <= Math.min(each, all)) return [];
      const largestFirst = sent.sort((one, other) => other.bytes - one.bytes);
      const isTooMuch = ({ bytes }: { readonly bytes: number }): boolean => {
        if (bytes <= each && left <= all) return false;
        left -= bytes;
        return true;
      };
      return largestFirst.filter(isTooMuch).map(({ entry }) => entry);
    },
  };
}
