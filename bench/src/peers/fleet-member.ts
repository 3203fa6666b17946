/** What a fleet is made of: something that holds two connections to a server and says it lives. */

/** Time between two heartbeats, in milliseconds: what a hub asks of its nodes. */
export const HEARTBEAT_MS = 5_000;

/** Where the server of a fleet is and whom to trust there. */
export interface FleetEndpoint {
  /** `host:port`. */
  readonly address: string;
  readonly caPem: string;
  readonly serverName: string;
  /** Id of the hub; empty for a bare server. */
  readonly hubId: string;
}

/** One open pair of connections. */
export interface FleetConnection {
  /** Dials the data connection and opens its stream. */
  openData(): Promise<void>;
  /** Answers to heartbeats so far. */
  readonly answers: number;
  /** Resolves when the control connection is over. */
  readonly lost: Promise<void>;
  close(): void;
}

/** A member, connected or not. */
export interface FleetMember {
  /** Dials the control connection, opens its two streams and sends the first heartbeat; resolves when the server has taken it. */
  connect(): Promise<FleetConnection>;
}

/** Makes a member; the text is what the server gave for it. */
export type MakeMember = (endpoint: FleetEndpoint, ticket: string) => Promise<FleetMember>;
