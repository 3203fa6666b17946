/**
 * The health service of gRPC (`grpc.health.v1`), which load balancers and Kubernetes ask, without a token.
 *
 * One state holds for the server and each service it serves: they start and close together.
 */
import { create } from "@bufbuild/protobuf";
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { CortexError } from "../errors.js";
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  type HealthListRequest,
  type HealthListResponse,
  HealthListResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../gen/grpc/health/v1/health_pb.js";
import type { AnonymousStreams } from "./anonymous-streams.js";
import { toServiceError } from "./status.js";

/** What the health service tells, and its calls in the shape of `Server.addService`. */
export interface Health {
  /** Says whether the server serves; watchers hear of a change. */
  setServing(isServing: boolean): void;
  readonly implementation: {
    check(
      call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
      done: sendUnaryData<HealthCheckResponse>,
    ): void;
    watch(call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>): void;
    list(call: ServerUnaryCall<HealthListRequest, HealthListResponse>, done: sendUnaryData<HealthListResponse>): void;
  };
}

/** Makes the health of a server that serves `services`, by their full names; the map may grow. */
export function createHealth(services: ReadonlyMap<string, unknown>, streams: AnonymousStreams): Health {
  const watchers = new Set<() => void>();
  let status: Status = Status.SERVING;
  const answerFor = (service: string): HealthCheckResponse => {
    const isKnown = service === "" || services.has(service);
    return create(HealthCheckResponseSchema, { status: isKnown ? status : Status.SERVICE_UNKNOWN });
  };
  return {
    setServing(isServing) {
      const next = isServing ? Status.SERVING : Status.NOT_SERVING;
      if (next === status) return;
      status = next;
      for (const tell of watchers) tell();
    },
    implementation: {
      check({ request }, done) {
        const answer = answerFor(request.service);
        if (answer.status !== Status.SERVICE_UNKNOWN) done(null, answer);
        else done(toServiceError(new CortexError("NOT_FOUND", "this hub has no service of that name")));
      },
      watch(call) {
        if (!streams.admit(call)) return;
        // A watcher that does not read is owed a message for each change, and a hub changes once.
        const tell = (): void => void call.write(answerFor(call.request.service));
        watchers.add(tell);
        call.once("cancelled", () => watchers.delete(tell));
        tell();
      },
      list(_call, done) {
        const names = ["", ...services.keys()];
        const statuses = Object.fromEntries(names.map((name) => [name, answerFor(name)]));
        done(null, create(HealthListResponseSchema, { statuses }));
      },
    },
  };
}
