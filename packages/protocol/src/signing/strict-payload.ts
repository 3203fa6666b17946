/**
 * Reads a signed payload so that nothing in it goes unnoticed.
 *
 * Elsewhere an unknown field is ignored for the sake of older readers. Inside a signed payload it may be a condition that
 * this reader would skip ("only if", "not after"), so it makes the payload invalid, at any depth; so does an enum value
 * without a name.
 */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { grantRefused } from "./refusal.js";

/**
 * Parses verified bytes.
 *
 * @throws CortexError `GRANT_REFUSED` with `details.reason` `payload` or `unknown_field`.
 */
export function parseStrict<Desc extends DescMessage>(schema: Desc, payload: Uint8Array): MessageShape<Desc> {
  let message: MessageShape<Desc>;
  try {
    message = fromBinary(schema, payload);
  } catch (cause) {
    throw grantRefused("payload", `its payload is no ${schema.name}`, cause);
  }
  assertKnown(reflect(schema, message));
  return message;
}

function assertKnown(message: ReflectMessage): void {
  if ((message.getUnknown()?.length ?? 0) > 0) {
    throw grantRefused("unknown_field", `${message.desc.name} has a field that this version does not know`);
  }
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    switch (field.fieldKind) {
      case "message":
        assertKnown(message.get(field));
        break;
      case "enum":
        assertNamed(field.enum.values, message.get(field), field.name);
        break;
      case "list":
        if (field.listKind === "message") for (const item of message.get(field)) assertKnown(item as ReflectMessage);
        if (field.listKind === "enum") {
          for (const item of message.get(field)) assertNamed(field.enum.values, item, field.name);
        }
        break;
      case "map":
        if (field.mapKind === "message") {
          for (const [, item] of message.get(field)) assertKnown(item as ReflectMessage);
        }
        if (field.mapKind === "enum") {
          for (const [, item] of message.get(field)) assertNamed(field.enum.values, item, field.name);
        }
        break;
      case "scalar":
        break;
    }
  }
}

function assertNamed(values: readonly { readonly number: number }[], value: unknown, name: string): void {
  if (values.some((known) => known.number === value)) return;
  throw grantRefused("unknown_field", `${name} has a value that this version does not know`);
}
