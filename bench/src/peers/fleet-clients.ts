/** Many members in one process. Floor and subject differ in their members and in nothing else. */
import type { FleetConnection, FleetEndpoint, FleetMember, MakeMember } from "./fleet-member.js";
import type { PeerMethods } from "./peer.js";

/** Handshakes under way at once in one process. */
const CONNECTING = 8;
/** The waits of a node that had a healthy link, in milliseconds: drawn below a window that grows to the last one. */
const BACKOFF = { firstMs: 100, factor: 1.5, mostMs: 1_000 };

/** A part of the members, by their place. */
export interface MemberRange {
  readonly from: number;
  readonly to: number;
}

/** How the members of a process are. */
export interface FleetState {
  readonly open: number;
  /** Connections that ended and were not meant to. */
  readonly lost: number;
  readonly answers: number;
}

/** Makes the peer. */
export function createFleetClients(makeMember: MakeMember): PeerMethods {
  const members: FleetMember[] = [];
  const connections: (FleetConnection | undefined)[] = [];
  const backAtMs: (number | undefined)[] = [];
  let lost = 0;
  let isClosing = false;
  let isReturning = false;

  const hold = (at: number, connection: FleetConnection): void => {
    connections[at] = connection;
    void connection.lost.then(() => {
      connections[at] = undefined;
      if (isClosing) return;
      if (isReturning) void comeBack(at);
      else lost += 1;
    });
  };
  const comeBack = async (at: number): Promise<void> => {
    for (let tries = 0; !isClosing; tries += 1) {
      await pause(Math.random() * Math.min(BACKOFF.mostMs, BACKOFF.firstMs * BACKOFF.factor ** tries));
      try {
        const connection = await members[at]?.connect();
        if (connection === undefined) return;
        backAtMs[at] = performance.timeOrigin + performance.now();
        hold(at, connection);
        return;
      } catch {
        // The server is not there yet, or refused: that is what the next try is for.
      }
    }
  };
  return {
    /** Makes a member for each ticket. */
    async add({ endpoint, tickets }: { readonly endpoint: FleetEndpoint; readonly tickets: readonly string[] }) {
      const made: FleetMember[] = [];
      await inTurn({ from: 0, to: tickets.length }, async (at) => {
        made[at] = await makeMember(endpoint, tickets[at] ?? "");
      });
      members.push(...made);
    },
    connect: (range: MemberRange) =>
      inTurn(range, async (at) => {
        const connection = await members[at]?.connect();
        if (connection !== undefined) hold(at, connection);
      }),
    openData: (range: MemberRange) => inTurn(range, async (at) => connections[at]?.openData()),
    /** From now on a member that loses its connection comes back. */
    async expectLoss() {
      isReturning = true;
      backAtMs.length = 0;
    },
    /** Waits for all of them; gives when each was back, in milliseconds since the Unix epoch. */
    async returned() {
      while (members.some((_, at) => backAtMs[at] === undefined)) await pause(5);
      return backAtMs;
    },
    state: async () => stateOf(connections, lost),
    async close() {
      isClosing = true;
      for (const connection of connections) connection?.close();
    },
  };
}

function stateOf(connections: readonly (FleetConnection | undefined)[], lost: number): FleetState {
  const held = connections.filter((each) => each !== undefined);
  return { open: held.length, lost, answers: held.reduce((sum, { answers }) => sum + answers, 0) };
}

/** Does something for each place of a range, a few at once. */
async function inTurn({ from, to }: MemberRange, act: (at: number) => Promise<void>): Promise<void> {
  let next = from;
  const work = async (): Promise<void> => {
    while (next < to) {
      const at = next;
      next += 1;
      await act(at);
    }
  };
  await Promise.all(Array.from({ length: CONNECTING }, work));
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
