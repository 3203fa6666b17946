/**
 * Answers of the reflection service of gRPC (`grpc.reflection.v1`): which services there are, and their schema.
 *
 * The schema is public, so no token is asked for. Pure: a request gives an answer. Cortex uses no extensions.
 */
import {
  create,
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status as Status } from "@grpc/grpc-js";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../gen/grpc/reflection/v1/reflection_pb.js";

/** Answers one request. */
export type Reflection = (request: ServerReflectionRequest) => ServerReflectionResponse;

/** Describes `services`, which is what it lists, and the files they are written in. */
export function createReflection(services: readonly DescService[]): Reflection {
  const files = withImports(services.map(({ file }) => file));
  const names = services.map(({ typeName }) => ({ name: typeName }));
  const schema: Schema = { files, registry: createRegistry(...files), names };
  return (request) =>
    create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: answer(request.messageRequest, schema),
    });
}

interface Schema {
  readonly files: readonly DescFile[];
  readonly registry: Registry;
  readonly names: readonly { readonly name: string }[];
}

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

function answer(asked: ServerReflectionRequest["messageRequest"], { files, registry, names }: Schema): Answer {
  switch (asked.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: [...names] } };
    case "fileByFilename":
      return describe(files.find(({ proto }) => proto.name === asked.value));
    case "fileContainingSymbol":
      return describe(fileOf(asked.value, registry));
    case "allExtensionNumbersOfType":
      if (registry.getMessage(asked.value) === undefined) return refuse(Status.NOT_FOUND, "there is no such message");
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: asked.value } };
    case "fileContainingExtension":
      return refuse(Status.NOT_FOUND, "there are no extensions");
    default:
      return refuse(Status.UNIMPLEMENTED, "the request asks for nothing that is known");
  }
}

function describe(file: DescFile | undefined): Answer {
  if (file === undefined) return refuse(Status.NOT_FOUND, "there is no such file or symbol");
  const fileDescriptorProto = withImports([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function refuse(errorCode: number, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

/** The file of a type or service, or of a method or field within one. */
function fileOf(symbol: string, registry: Registry): DescFile | undefined {
  const type = registry.get(symbol);
  if (type !== undefined) return type.file;
  const dot = symbol.lastIndexOf(".");
  const parent = registry.get(symbol.slice(0, Math.max(dot, 0)));
  const member = symbol.slice(dot + 1);
  if (parent?.kind === "service") return parent.methods.some(({ name }) => name === member) ? parent.file : undefined;
  if (parent?.kind === "message") return parent.fields.some(({ name }) => name === member) ? parent.file : undefined;
  return undefined;
}

/** The files in order, each once, and then everything they import. */
function withImports(files: readonly DescFile[]): DescFile[] {
  const all = new Set(files);
  for (const { dependencies } of all) for (const imported of dependencies) all.add(imported);
  return [...all];
}
