/**
 * The hub over gRPC: control on one connection, logs on another that is dialled on first use. TLS always, verified with
 * the authority that was pinned at enrolment and the name of the hub.
 */
import { CortexError, type HubId, hubServerName, type Invite } from "@cortex-mesh/protocol";
import { AgentOrchestrator, Enrollment } from "@cortex-mesh/protocol/gen";
import { fetchServerCa, type GrpcChannel, openChannel } from "@cortex-mesh/protocol/grpc";
import type { EnrolTransport } from "./enrol.js";
import { readHubName } from "./hub-name.js";
import type { HubDial } from "./transport.js";

/** Where a hub is and whom to trust there. */
export interface HubEndpoint {
  /** `host:port`. */
  readonly address: string;
  readonly hubId: HubId;
  /** Certificate authority, PEM; empty when the hub has a public certificate. */
  readonly caPem: string;
}

/** Time for the first look at a hub's certificate, in milliseconds. */
const FIRST_CONTACT_TIMEOUT_MS = 10_000;

/** Makes the dial of an enrolled node. */
export function grpcDial(endpoint: HubEndpoint): HubDial {
  return () => {
    const control = open(endpoint, "control");
    let data: GrpcChannel | undefined;
    let isClosed = false;
    const enrollment = control.client(Enrollment);
    const orchestrator = control.client(AgentOrchestrator);
    return {
      issueToken: (request) => enrollment.issueToken(request),
      register: (request, token) => orchestrator.syncConfiguration(request, authorized(token)),
      openTasks: (token) => orchestrator.taskStream(authorized(token)),
      openHealth: (token) => orchestrator.reportHealth(authorized(token)),
      openLogs(token) {
        if (isClosed) throw new CortexError("UNAVAILABLE", "the connection to the hub is closed");
        data ??= open(endpoint, "data");
        return data.client(AgentOrchestrator).logStream(authorized(token));
      },
      close() {
        isClosed = true;
        control.close();
        data?.close();
      },
    };
  };
}

/** Opens the calls of an enrolment after the hub's authority was checked against the invite. */
export async function openGrpcEnrolment(invite: Invite): Promise<{ transport: EnrolTransport; caPem: string }> {
  const { address, caFingerprint } = invite;
  const caPem =
    caFingerprint === undefined
      ? ""
      : await fetchServerCa({
          address,
          fingerprint: Buffer.from(caFingerprint, "hex"),
          timeoutMs: FIRST_CONTACT_TIMEOUT_MS,
        });
  const tls =
    caPem === ""
      ? {}
      : { caPem, serverName: await readHubName({ address, caPem, timeoutMs: FIRST_CONTACT_TIMEOUT_MS }) };
  const channel = openChannel({ address, role: "control", tls });
  const client = channel.client(Enrollment);
  const transport: EnrolTransport = {
    begin: (request) => client.beginEnrollment(request),
    finish: (request) => client.finishEnrollment(request),
    close: () => channel.close(),
  };
  return { transport, caPem };
}

function open({ address, caPem, hubId }: HubEndpoint, role: "control" | "data"): GrpcChannel {
  const tls = caPem === "" ? {} : { caPem, serverName: hubServerName(hubId) };
  return openChannel({ address, role, tls });
}

function authorized(token: string): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { authorization: `Bearer ${token}` } };
}
