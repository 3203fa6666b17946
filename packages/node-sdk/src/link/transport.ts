/**
 * How the node reaches its hub: the calls and streams of one dial. gRPC implements it; tests and simulations do in memory.
 *
 * Calls reject with a CortexError; streams end with one. A transport is used for one connection and then closed.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Link } from "@cortex-mesh/protocol";
import type {
  IssueTokenRequestSchema,
  IssueTokenResponse,
  RegistrationRequestSchema,
  RegistrationResponse,
} from "@cortex-mesh/protocol/gen";

/** One dial of a hub. */
export interface HubTransport {
  /** `IssueToken`: without a nonce for a nonce, with a proof for a token. */
  issueToken(request: MessageInitShape<typeof IssueTokenRequestSchema>): Promise<IssueTokenResponse>;
  /** `SyncConfiguration`: what the node is, and what the hub wants of it. */
  register(request: MessageInitShape<typeof RegistrationRequestSchema>, token: string): Promise<RegistrationResponse>;
  /** Frames: NodeTaskFrame up, HubTaskFrame down. */
  openTasks(token: string): Link;
  /** Frames: Heartbeat up, LeaseAnswer down. */
  openHealth(token: string): Link;
  /** Frames: LogFrame up, LogAck down. Dials the data connection on first use. */
  openLogs(token: string): Link;
  /** Ends everything that is open. Idempotent. */
  close(): void;
}

/** Makes a transport; nothing needs to be dialled before the first call. */
export type HubDial = () => HubTransport;
