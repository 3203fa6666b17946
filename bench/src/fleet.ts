/** A server with many clients, each side in processes of its own: a hub with nodes, or the floor of it. */
import { mkdir } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { benchCertificates } from "./certificates.js";
import type { FleetState, MemberRange } from "./peers/fleet-clients.js";
import type { FleetServerStart } from "./peers/fleet-hub.js";
import type { FleetEndpoint } from "./peers/fleet-member.js";
import { type Peer, spawnPeer } from "./peers/peer.js";
import type { ProcessFigures } from "./peers/process-figures.js";

/** Processes of the clients: a client costs as much as the server's side of it. */
const CLIENT_PROCESSES = 2;
/** Time in which what was just opened comes to rest, in milliseconds. */
const REST_MS = 1_000;

/** Descriptors of a server beside its connections: files, databases, what the runtime has. */
const OTHER_DESCRIPTORS = 200;

/** Who takes part. */
export type FleetKind = "cortex" | "bare";

/** A fleet under way; disposing ends its processes. */
export interface Fleet extends AsyncDisposable {
  /** Connects so many more members; gives which ones, in each process. */
  connect(count: number): Promise<MemberRange>;
  /** Opens the data connections of members. */
  openData(range: MemberRange): Promise<void>;
  /** The server's, at rest. */
  figures(): Promise<ProcessFigures>;
  /** Share of a core that the server takes over a time in which nothing is asked of it. */
  cpuRatio(windowMs: number): Promise<number>;
  state(): Promise<FleetState>;
  /** Kills the server, starts it again on its address; gives for each member how long after that it was back, in milliseconds. */
  restart(): Promise<readonly number[]>;
}

/** Starts a server and client processes without members; `directory` is for the state of a hub. */
export async function openFleet(kind: FleetKind, directory: string): Promise<Fleet> {
  await mkdir(directory, { recursive: true });
  let server = spawnPeer(`${kind}-fleet-server`);
  const clients = Array.from({ length: CLIENT_PROCESSES }, () => spawnPeer(`${kind}-fleet-clients`));
  const started = await start(server, { kind, directory });
  const { endpoint } = started;
  let perProcess = 0;
  const each = <T>(method: string, params: unknown = {}): Promise<T[]> =>
    Promise.all(clients.map((client) => client.call<T>(method, params)));
  return {
    async connect(count) {
      const share = Math.ceil(count / clients.length);
      for (const client of clients) {
        const tickets = await ticketsFor(server, kind, share);
        await client.call("add", { endpoint, tickets });
      }
      const range = { from: perProcess, to: perProcess + share };
      perProcess = range.to;
      await each("connect", range);
      return range;
    },
    openData: async (range) => void (await each("openData", range)),
    async figures() {
      await pause(REST_MS);
      return server.call("figures");
    },
    async cpuRatio(windowMs) {
      const before = await server.call<number>("cpu");
      await pause(windowMs);
      return ((await server.call<number>("cpu")) - before) / 1000 / windowMs;
    },
    async state() {
      const states = await each<FleetState>("state");
      const sum = (pick: (state: FleetState) => number): number => states.reduce((all, one) => all + pick(one), 0);
      return { open: sum(({ open }) => open), lost: sum(({ lost }) => lost), answers: sum(({ answers }) => answers) };
    },
    async restart() {
      await each("expectLoss");
      await server.kill();
      server = spawnPeer(`${kind}-fleet-server`);
      const { readyAtMs } = await start(server, { kind, directory, address: endpoint.address });
      const backAtMs = (await each<number[]>("returned")).flat();
      // One may be in before the process that starts the server has said so.
      return backAtMs.map((atMs) => Math.max(0, atMs - readyAtMs));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      await server[Symbol.asyncDispose]();
    },
  };
}

interface ServerStart {
  readonly kind: FleetKind;
  readonly directory: string;
  readonly address?: string;
}

async function start(server: Peer, { kind, directory, address }: ServerStart): Promise<FleetServerStart> {
  if (kind === "cortex") return server.call("start", { data: directory, address });
  const certificates = await benchCertificates();
  const wanted = Number(address?.split(":")[1] ?? 0);
  const port = await server.call<number>("start", { certificates, isTuned: false, port: wanted });
  const readyAtMs = performance.timeOrigin + performance.now();
  const { caPem, serverName } = certificates;
  const endpoint: FleetEndpoint = { address: `127.0.0.1:${port}`, caPem, serverName, hubId: "" };
  return { endpoint, readyAtMs };
}

async function ticketsFor(server: Peer, kind: FleetKind, count: number): Promise<readonly string[]> {
  return kind === "cortex" ? server.call("tickets", { count }) : Array.from({ length: count }, () => "");
}

/** Why so many connections to one process cannot be open here; nothing when they can. Node raises the soft limit by itself. */
export function descriptorObstacle(connections: number): string | undefined {
  const { userLimits } = process.report.getReport() as unknown as {
    readonly userLimits: { readonly open_files: { readonly soft: number | string } };
  };
  const limit = userLimits.open_files.soft;
  const needed = connections + OTHER_DESCRIPTORS;
  if (limit === "unlimited" || Number(limit) >= needed) return undefined;
  return `${needed} descriptors are needed and ${limit} are allowed (ulimit -n)`;
}
