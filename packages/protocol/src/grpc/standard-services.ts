/**
 * Adds the services to a server that every gRPC tool knows: health and reflection. They are served to anybody, so
 * their requests are small, their streams bounded, and an answer waits until its reader takes it.
 */
import { type Duplex, Transform } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import type { Server, ServerDuplexStream } from "@grpc/grpc-js";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import { createAnonymousStreams } from "./anonymous-streams.js";
import { createHealth } from "./health.js";
import { limitReadAhead } from "./private-fields.js";
import { createReflection } from "./reflection.js";
import { messageDefinitions } from "./service-definition.js";
import { MAX_ANONYMOUS_REQUEST_BYTES, MAX_READ_AHEAD_MESSAGES } from "./transport-limits.js";

/** The standard services of one server. */
export interface StandardServices {
  /** Says by health whether the server serves. */
  setServing(isServing: boolean): void;
  /** Tells watchers that the server serves no more and ends their streams. Idempotent. */
  close(): void;
}

/** Adds health and reflection to `server`; `services` are those it serves, by name, and may grow. */
export function addStandardServices(server: Server, services: ReadonlyMap<string, DescService>): StandardServices {
  const streams = createAnonymousStreams();
  const health = createHealth(services, streams);
  server.addService(messageDefinitions(Health, MAX_ANONYMOUS_REQUEST_BYTES), health.implementation);
  server.addService(messageDefinitions(ServerReflection, MAX_ANONYMOUS_REQUEST_BYTES), {
    serverReflectionInfo(call: ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>): void {
      if (!streams.admit(call)) return;
      limitReadAhead(call, MAX_READ_AHEAD_MESSAGES);
      const reflect = createReflection([...services.values(), Health, ServerReflection]);
      const answers = new Transform({
        objectMode: true,
        highWaterMark: MAX_READ_AHEAD_MESSAGES,
        transform: (request: ServerReflectionRequest, _encoding, done) => done(null, reflect(request)),
      });
      // A pipe waits for the reader at each step; the call is a duplex of objects, which Node's types do not know.
      call.pipe(answers).pipe(call as unknown as Duplex);
    },
  });
  return {
    setServing: health.setServing,
    close() {
      health.setServing(false);
      streams.closeAll();
    },
  };
}
