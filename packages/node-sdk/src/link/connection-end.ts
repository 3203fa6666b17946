/** How a connection ends, and which frames of the hub end it. Pure. */
import { CortexError } from "@cortex-mesh/protocol";
import type { HubFrameBody } from "./control-channel.js";

/** How a connection ended. */
export interface ConnectionEnd {
  /** Undefined after an orderly end. */
  readonly error: CortexError | undefined;
  /** When the hub wants the node back, in milliseconds; undefined when it did not say. */
  readonly reconnectAfterMs: number | undefined;
}

/** The end that a frame announces, if it does. */
export function endOf(body: HubFrameBody): ConnectionEnd | undefined {
  if (body.case === "goodbye") return { error: undefined, reconnectAfterMs: body.value.reconnectAfterMs };
  if (body.case !== "superseded") return undefined;
  const message = "another process connected with this node's identity; give each node its own state directory";
  return { error: new CortexError("SUPERSEDED", message), reconnectAfterMs: undefined };
}
