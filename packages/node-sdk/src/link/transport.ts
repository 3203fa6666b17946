/**
 * How the node reaches its hub: the calls and streams of one dial. gRPC implements it; tests and simulations do in memory.
 *
 * Calls reject with a {@link CortexError}; streams end with one. A transport is used for one connection and then closed.
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
  issueToken(request: MessageInitShape<typeof IssueTokenRequestSchema>): Promise<IssueTokenResponse>;
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
