/** `cortex-hub serve`: a hub in the foreground until it is told to stop. */

import type { Logger } from "pino";
import { createHub, type DataLock, type Hub } from "@cortex-mesh/orchestrator-sdk";
import { CortexError } from "@cortex-mesh/protocol";
import { createControlHandler } from "./control-routes.js";
import { bindControlSocket } from "./control-server.js";
import { EXIT } from "./exit-status.js";
import { createLogger } from "./logger.js";
import { makeDirectory } from "./make-directory.js";
import { printJson } from "./print.js";
import type { HubSettings } from "./settings.js";
import { watchStopSignals, whenAborted } from "./stop-signal.js";
import { bearerToken, createUsers, type Users } from "./users.js";

/** Closing that takes longer than this is given up; all that was acknowledged is on disk by then. */
const CLOSE_TIMEOUT_MS = 10_000;

/** Runs a hub; gives the exit status. */
export async function serve(settings: HubSettings): Promise<number> {
  const stop = watchStopSignals();
  // Everything in the data directory is the hub's own.
  process.umask(0o077);
  const logger = createLogger(settings.logLevel);
  makeDirectory(settings.data);
  const control = await bindControlSocket(settings.data);
  try {
    const { hub, users } = await startHub(settings, { logger, lock: control.lock });
    try {
      if (await users.makeAdmin(settings.data))
        logger.info({ data: settings.data }, "made the user admin; its token is in admin.token");
      control.serve(createControlHandler(hub, users));
      warnOfSettings(settings, logger);
      logger.info(
        { hubId: hub.hubId, http: hub.httpUrl, grpc: hub.grpcAddress, data: settings.data },
        "the hub is ready",
      );
      printJson({ event: "ready", http: hub.httpUrl, grpc: hub.grpcAddress, pid: process.pid });
      await whenAborted(stop);
      logger.info({ reason: String(stop.reason) }, "the hub is stopping");
    } finally {
      await closeInTime({ hub, logger });
    }
  } finally {
    await control.close();
  }
  return EXIT.ok;
}

async function startHub(
  settings: HubSettings,
  { logger, lock }: { readonly logger: Logger; readonly lock: DataLock },
): Promise<{ hub: Hub; users: Users }> {
  let users: Users | undefined;
  const hub = await createHub({
    data: settings.data,
    http: settings.http,
    grpc: settings.grpc,
    advertise: settings.advertise,
    allowPlainHttp: settings.allowPlainHttp,
    logger,
    lock,
    metrics: { hasProcess: true },
    authenticate: async (request) => {
      if (users === undefined) throw new CortexError("UNAVAILABLE", "the hub is starting");
      const token = bearerToken(request.headers.get("authorization"));
      const userId = token === undefined ? undefined : await users.findByToken(token);
      return userId === undefined ? undefined : { userId };
    },
  });
  users = createUsers(hub.store);
  return { hub, users };
}

function warnOfSettings(settings: HubSettings, logger: Logger): void {
  if (settings.advertise === undefined && /^(0\.0\.0\.0|\[::\]):/.test(settings.grpc)) {
    logger.warn(
      { grpc: settings.grpc },
      "invites name the bound address, which nodes cannot dial: set --advertise HOST:PORT",
    );
  }
}

async function closeInTime(running: { readonly hub: Hub; readonly logger: Logger }): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      running.logger.warn({ timeoutMs: CLOSE_TIMEOUT_MS }, "closing takes too long and is given up");
      resolve();
    }, CLOSE_TIMEOUT_MS);
  });
  await Promise.race([running.hub.close(), tooLate]);
  clearTimeout(timer);
}
