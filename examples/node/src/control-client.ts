/** Talks to a running node through the control socket of its state directory. */

import { existsSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { CortexError, isCortexErrorCode } from "@cortex-mesh/protocol";
import { openControlAddress } from "./control-address.js";

/**
 * Asks the node of a state directory; gives its answer, or undefined when no node runs there.
 *
 * @throws {@link CortexError} what the node refused.
 */
export async function askNode(
  directory: string,
  method: "GET" | "POST",
  path: string,
): Promise<{ readonly value: unknown } | undefined> {
  if (!existsSync(directory)) return undefined;
  const response = await send(directory, method, path);
  if (response === undefined) return undefined;
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) text += chunk;
  const value: unknown = JSON.parse(text);
  if (response.statusCode === 200) return { value };
  const { code, detail } = value as { readonly code: string; readonly detail: string };
  throw new CortexError(isCortexErrorCode(code) ? code : "INTERNAL", detail);
}

function send(directory: string, method: string, path: string): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const address = openControlAddress(directory);
    const request = httpRequest({ socketPath: address.path, method, path, agent: false }, resolve);
    request.once("socket", (socket) => socket.once("connect", address.release).once("error", address.release));
    request.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(undefined);
      else reject(error);
    });
    request.end();
  });
}
