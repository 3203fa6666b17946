import { once } from "node:events";
import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { CortexError } from "../../src/errors.js";
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthListRequestSchema,
  type HealthListResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "../../src/gen/grpc/health/v1/health_pb.js";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { AgentOrchestrator } from "../../src/gen/index.js";
import { messageDefinitions } from "../../src/grpc/service-definition.js";
import { fromServiceError } from "../../src/grpc/status.js";
import { MAX_ANONYMOUS_STREAMS, WINDOW_BYTES } from "../../src/grpc/transport-limits.js";
import { openRawSession } from "./support/open-raw-session.js";
import { HUB_NAME, startHub, type TestHub } from "./support/start-hub.js";

const AGENT = AgentOrchestrator.typeName;

const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

type Unary<Request, Response> = (
  request: Request,
  done: (error: ServiceError | null, answer?: Response) => void,
) => unknown;

interface HealthMethods {
  check: Unary<Message, HealthCheckResponse>;
  list: Unary<Message, HealthListResponse>;
  watch(request: Message): ClientReadableStream<HealthCheckResponse>;
}

interface ReflectionMethods {
  serverReflectionInfo(): ClientDuplexStream<ServerReflectionRequest, ServerReflectionResponse>;
}

/** A client as any tool has it: of grpc-js alone, without a token. */
function openTool<Methods>(hub: TestHub, service: DescService): Methods {
  const definition = messageDefinitions(service, Number.POSITIVE_INFINITY);
  const trust = credentials.createSsl(Buffer.from(hub.certificates.caPem));
  const options = { "grpc.ssl_target_name_override": HUB_NAME, "grpc.use_local_subchannel_pool": 1 };
  const client: Client = new (makeGenericClientConstructor(definition, service.typeName))(
    `127.0.0.1:${hub.port}`,
    trust,
    options,
  );
  disposables.push({ [Symbol.asyncDispose]: async () => client.close() });
  return client as unknown as Methods;
}

const healthOf = (hub: TestHub): HealthMethods => openTool<HealthMethods>(hub, Health);

function nameOf(status: Status | undefined): string {
  const [name = "none"] = Object.entries(Status).find(([, value]) => value === status) ?? [];
  return name;
}

function check(health: HealthMethods, service: string): Promise<string> {
  return new Promise((resolve) => {
    health.check(create(HealthCheckRequestSchema, { service }), (error, answer) =>
      resolve(error === null ? nameOf(answer?.status) : fromServiceError(error).code),
    );
  });
}

const watch = (health: HealthMethods, service = ""): ClientReadableStream<HealthCheckResponse> =>
  health.watch(create(HealthCheckRequestSchema, { service }));

async function nextStatus(stream: ClientReadableStream<HealthCheckResponse>): Promise<string> {
  const [{ status }] = (await once(stream, "data")) as [HealthCheckResponse];
  return nameOf(status);
}

/** How a stream ends that does not end well. */
function endOf(stream: ClientReadableStream<unknown>): Promise<CortexError> {
  return new Promise((resolve) => {
    stream.on("error", (error) => resolve(fromServiceError(error as ServiceError)));
    stream.resume();
  });
}

describe("grpc health", () => {
  it("T2: the server and each service are serving, another name is not known", async () => {
    const health = healthOf(dispose(await startHub({})));
    expect(await check(health, "")).toBe("SERVING");
    expect(await check(health, AGENT)).toBe("SERVING");
    expect(await check(health, "cortex.agent.v1.Other")).toBe("NOT_FOUND");
    const statuses = await new Promise<HealthListResponse["statuses"] | undefined>((resolve) => {
      health.list(create(HealthListRequestSchema), (_error, answer) => resolve(answer?.statuses));
    });
    expect(Object.keys(statuses ?? {})).toEqual(["", AGENT]);
  });

  it("T7: a server that says it serves no more tells it to probes and to watchers, each change once", async () => {
    const hub = dispose(await startHub({}));
    const health = healthOf(hub);
    const seen: string[] = [];
    const watching = watch(health, AGENT);
    watching.on("error", () => {});
    watching.on("data", ({ status }: HealthCheckResponse) => seen.push(nameOf(status)));
    expect(await nextStatus(watching)).toBe("SERVING");
    hub.server.setServing(false);
    hub.server.setServing(false);
    expect(await nextStatus(watching)).toBe("NOT_SERVING");
    expect(await check(health, "")).toBe("NOT_SERVING");
    expect(await check(health, AGENT)).toBe("NOT_SERVING");
    hub.server.setServing(true);
    expect(await nextStatus(watching)).toBe("SERVING");
    expect(seen).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
  });

  it("T7: a server that closes tells watchers and ends their streams, so they do not hold it up", async () => {
    const hub = await startHub({});
    const health = healthOf(hub);
    const watching = watch(health);
    const seen: string[] = [];
    watching.on("data", ({ status }: HealthCheckResponse) => seen.push(nameOf(status)));
    await once(watching, "data");
    const reflection = openTool<ReflectionMethods>(hub, ServerReflection).serverReflectionInfo();
    await ask(reflection, { case: "listServices", value: "" });
    const ends = Promise.all([endOf(watching), endOf(reflection)]);
    const closing = hub.server.close({ graceMs: 30_000 });
    const reason = { code: "UNAVAILABLE", message: "the hub is closing" };
    expect(await ends).toMatchObject([reason, reason]);
    expect(seen).toEqual(["SERVING", "NOT_SERVING"]);
    await closing;
    await hub[Symbol.asyncDispose]();
  });

  it("T5: a watcher of an unknown name hears so, and streams without a token are bounded for all together", async () => {
    const hub = dispose(await startHub({}));
    const first = healthOf(hub);
    const second = healthOf(hub);
    const streams = Array.from({ length: MAX_ANONYMOUS_STREAMS - 1 }, () => watch(first, "no.such"));
    for (const stream of streams) stream.on("error", () => {});
    const heard = await Promise.all(streams.map(nextStatus));
    expect(new Set(heard)).toEqual(new Set(["SERVICE_UNKNOWN"]));
    const last = watch(second);
    last.on("error", () => {});
    await nextStatus(last);
    expect(await endOf(watch(second))).toMatchObject({ code: "QUOTA_EXCEEDED" });
    const oneMore = openTool<ReflectionMethods>(hub, ServerReflection).serverReflectionInfo();
    expect(await endOf(oneMore)).toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(await check(second, "")).toBe("SERVING");
    last.cancel();
    const isAdmitted = async (): Promise<boolean> => {
      const stream = watch(second);
      const ended = endOf(stream).then(() => false);
      return Promise.race([
        nextStatus(stream).then(
          () => true,
          () => false,
        ),
        ended,
      ]);
    };
    await expect.poll(isAdmitted).toBe(true);
  });
});

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

async function ask(
  stream: ClientDuplexStream<ServerReflectionRequest, ServerReflectionResponse>,
  messageRequest: NonNullable<Question>,
): Promise<ServerReflectionResponse["messageResponse"]> {
  stream.write(create(ServerReflectionRequestSchema, { host: "h", messageRequest }));
  const [answer] = (await once(stream, "data")) as [ServerReflectionResponse];
  expect(answer.originalRequest).toMatchObject({ host: "h", messageRequest });
  return answer.messageResponse;
}

describe("grpc reflection", () => {
  async function openReflection() {
    const hub = dispose(await startHub({}));
    const stream = openTool<ReflectionMethods>(hub, ServerReflection).serverReflectionInfo();
    stream.on("error", () => {});
    return stream;
  }

  it("T2: a tool without the schema lists the services and reads how to call them", async () => {
    const stream = await openReflection();
    const listed = await ask(stream, { case: "listServices", value: "*" });
    const names = listed.case === "listServicesResponse" ? listed.value.service.map(({ name }) => name) : [];
    expect(names).toEqual([AGENT, Health.typeName, ServerReflection.typeName]);
    for (const name of names) {
      const described = await ask(stream, { case: "fileContainingSymbol", value: name });
      const files = described.case === "fileDescriptorResponse" ? described.value.fileDescriptorProto : [];
      const file = files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
      const schema = createFileRegistry(create(FileDescriptorSetSchema, { file }));
      expect(schema.getService(name)?.methods.length).toBeGreaterThan(0);
    }
    const end = once(stream, "end");
    stream.end();
    await end;
  });

  it("T2: a file is found by its name, a message, a method and a field; what is not there is said to be so", async () => {
    const stream = await openReflection();
    const byName = await ask(stream, { case: "fileByFilename", value: "cortex/agent/v1/agent.proto" });
    expect(byName.case).toBe("fileDescriptorResponse");
    for (const value of [`${AGENT}.TaskStream`, "cortex.agent.v1.SignedGrant", "cortex.agent.v1.SignedGrant.payload"]) {
      expect(await ask(stream, { case: "fileContainingSymbol", value })).toEqual(byName);
    }
    const unknown: NonNullable<Question>[] = [
      { case: "fileByFilename", value: "other.proto" },
      { case: "fileContainingSymbol", value: `${AGENT}.Other` },
      { case: "fileContainingSymbol", value: "cortex.agent.v1.SignedGrant.other" },
      { case: "fileContainingSymbol", value: "" },
      { case: "allExtensionNumbersOfType", value: "other" },
    ];
    for (const question of unknown) {
      const answer = await ask(stream, question);
      expect(answer, JSON.stringify(question)).toMatchObject({ case: "errorResponse", value: { errorCode: 5 } });
    }
    const extensions = await ask(stream, { case: "allExtensionNumbersOfType", value: "cortex.agent.v1.SignedGrant" });
    expect(extensions).toMatchObject({ case: "allExtensionNumbersResponse", value: { extensionNumber: [] } });
  });

  it("T5: a server reads no more questions of a peer that takes no answers", async () => {
    const raw = dispose(openRawSession(dispose(await startHub({}))));
    const stream = raw.session.request({
      ":method": "POST",
      ":path": `/${ServerReflection.typeName}/ServerReflectionInfo`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    const list = create(ServerReflectionRequestSchema, {
      host: "h".repeat(3 * 1024),
      messageRequest: { case: "fileByFilename", value: "cortex/agent/v1/agent.proto" },
    });
    const message = toBinary(ServerReflectionRequestSchema, list);
    const frame = Buffer.concat([Buffer.alloc(5), message]);
    frame.writeUInt32BE(message.byteLength, 1);
    let takenBytes = 0;
    const askAgain = (): void => {
      if (takenBytes < 4 * 1024 * 1024) stream.write(frame, whenTaken);
    };
    const whenTaken = (): void => {
      takenBytes += frame.byteLength;
      askAgain();
    };
    askAgain();
    await once(stream, "response");
    // Round trips give the server its turns; what it would read in them is far more than a window.
    for (let trip = 0; trip < 2_000; trip += 1) {
      await new Promise<void>((resolve, reject) => {
        raw.session.ping((error) => (error === null ? resolve() : reject(error)));
      });
    }
    expect(takenBytes).toBeGreaterThan(WINDOW_BYTES.control / 2);
    expect(takenBytes).toBeLessThan(WINDOW_BYTES.control + 512 * 1024);
  });

  it("T5: a question that is larger than any ends its stream", async () => {
    const stream = await openReflection();
    const large = { case: "fileByFilename", value: "x".repeat(8 * 1024) } as const;
    stream.write(create(ServerReflectionRequestSchema, { messageRequest: large }));
    expect(await endOf(stream)).toMatchObject({ code: "INTERNAL" });
  });
});
