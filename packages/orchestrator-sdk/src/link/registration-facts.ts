/** What a node says of itself when it registers, within bounds: all of it is kept, and shown to users. Pure. */
import { toBinary } from "@bufbuild/protobuf";
import { CortexError } from "@cortex-mesh/protocol";
import { CapabilitiesSchema, type RegistrationRequest } from "@cortex-mesh/protocol/gen";
import type { NodeRecord } from "../store/records.js";
import { readCapabilities } from "./wire.js";

/** Labels of a node, and the characters of a name and of a value, as in an invite. */
export const MAX_LABELS = 64;
export const MAX_LABEL_CHARS = 200;
/** Characters of a version and of a boot id. */
export const MAX_FACT_CHARS = 128;
/** Capabilities with the schemas of every skill, as they were sent. */
export const MAX_CAPABILITIES_BYTES = 256 * 1024;

const MAX_TASKS_A_NODE = 4096;
const PLAIN_TEXT = /^[^\p{Cc}\p{Surrogate}]*$/u;

/** The facts of a registration. */
export type RegistrationFacts = Pick<NodeRecord, "bootId" | "version" | "capabilities" | "maxTasks" | "labels">;

/** Reads them. @throws CortexError `BAD_REQUEST` for what is over a bound */
export function readRegistrationFacts(request: RegistrationRequest): RegistrationFacts {
  const { bootId, version, labels, capabilities } = request;
  assertText("the boot id", bootId, MAX_FACT_CHARS);
  assertText("the version", version, MAX_FACT_CHARS);
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) throw refused(`a node has at most ${MAX_LABELS} labels`);
  for (const [name, value] of entries) {
    if (name === "") throw refused("a label has a name");
    assertText("the name of a label", name, MAX_LABEL_CHARS);
    assertText("the value of a label", value, MAX_LABEL_CHARS);
  }
  if (capabilities !== undefined && toBinary(CapabilitiesSchema, capabilities).byteLength > MAX_CAPABILITIES_BYTES) {
    throw refused(`the capabilities of a node take at most ${MAX_CAPABILITIES_BYTES} bytes`);
  }
  return {
    bootId,
    version,
    labels: { ...labels },
    capabilities: readCapabilities(capabilities),
    maxTasks: Math.min(Math.max(request.maxTasks, 1), MAX_TASKS_A_NODE),
  };
}

function assertText(what: string, text: string, maxChars: number): void {
  if (text.length > maxChars) throw refused(`${what} has at most ${maxChars} characters`);
  if (!PLAIN_TEXT.test(text)) throw refused(`${what} has no control characters`);
}

function refused(message: string): CortexError {
  return new CortexError("BAD_REQUEST", message);
}
