/** What the control socket of a hub answers: users, and the nodes of all of them. */

import { z } from "zod";
import type { Hub } from "@cortex-mesh/orchestrator-sdk";
import { CortexError } from "@cortex-mesh/protocol";
import type { ControlHandler } from "./control-server.js";
import { listNodes, watchNodes } from "./node-list.js";
import type { Users } from "./users.js";

const newUser = z.strictObject({ name: z.string() });

/** Makes the handler. It asks for no token: whoever opens the socket has the data anyway. */
export function createControlHandler(hub: Pick<Hub, "as">, users: Users): ControlHandler {
  return async ({ target, body, signal }) => {
    if (target === "GET /users") return { value: await users.list() };
    if (target === "POST /users") return { value: await users.add(parseNewUser(body)) };
    if (target.startsWith("DELETE /users/")) {
      await users.remove(decodeURIComponent(target.slice("DELETE /users/".length)));
      return { value: null };
    }
    if (target === "GET /nodes") return { value: await listNodes(hub, users) };
    if (target === "GET /nodes/watch") return { lines: watchNodes({ hub, users, signal }) };
    throw new CortexError("NOT_FOUND", `the control socket has no ${target}`);
  };
}

function parseNewUser(body: unknown): string {
  const result = newUser.safeParse(body);
  if (!result.success) throw new CortexError("BAD_REQUEST", "a user is {name}");
  return result.data.name;
}
