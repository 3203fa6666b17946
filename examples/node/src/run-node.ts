/** `cortex-node join` and `cortex-node run`: a node in the foreground until it is told to stop. */

import type { Logger } from "pino";
import { type CortexNode, createNode } from "@cortex-mesh/node-sdk";
import { decodeInvite } from "@cortex-mesh/protocol";
import { enrolNode } from "./enrol-node.js";
import { EXIT, ExitError } from "./exit-status.js";
import { adjustInvite, assertSameInvite, prepareIdentity } from "./hub-choice.js";
import { createLogger } from "./logger.js";
import { makeDirectory } from "./make-directory.js";
import { print } from "./print.js";
import { readRemembered, writeRemembered } from "./remembered.js";
import {
  DEFAULT_WORKSPACE_ROOT,
  expandHome,
  type NodeSettings,
  readSettings,
  type SettingsSources,
  stateDirectoryOf,
} from "./settings.js";
import { type StopSignals, watchStopSignals } from "./stop-signal.js";
import { work } from "./work.js";

/** What `join` is told. */
export interface JoinOptions extends SettingsSources {
  readonly invite: string;
  /** Whether to run once it has joined. */
  readonly isRunning: boolean;
}

/** Joins a hub; gives the exit status. */
export async function joinHub(options: JoinOptions): Promise<number> {
  const state = stateDirectoryOf(options);
  const settings = readSettings(options);
  const invite = adjustInvite(options.invite, settings);
  return enrolAndWork({ state, settings, invite, isRunning: options.isRunning });
}

/** Runs the node that has joined; one with an invite in its configuration joins first. Gives the exit status. */
export async function runNode(sources: SettingsSources): Promise<number> {
  const state = stateDirectoryOf(sources);
  const settings = readSettings({ ...sources, remembered: await readRemembered(state) });
  const identity = await prepareIdentity(state, settings);
  if (identity !== undefined) {
    const begun = begin(settings);
    return withNode(state, settings, (node) => work({ node, state, ...begun }));
  }
  if (settings.invite === undefined) {
    throw new ExitError(
      EXIT.badConfiguration,
      `${state} has not joined a hub: \`cortex-node join INVITE\`, or set hub.invite`,
    );
  }
  return enrolAndWork({ state, settings, invite: adjustInvite(settings.invite, settings), isRunning: true });
}

interface Enrolling {
  readonly state: string;
  readonly settings: NodeSettings;
  readonly invite: string;
  readonly isRunning: boolean;
}

async function enrolAndWork({ state, settings: given, invite, isRunning }: Enrolling): Promise<number> {
  const settings = { ...given, workspaceRoot: given.workspaceRoot ?? expandHome(DEFAULT_WORKSPACE_ROOT) };
  const identity = await prepareIdentity(state, { ...settings, hubAddress: undefined });
  if (identity !== undefined) assertSameInvite(invite, identity, state);
  const { signals, logger } = begin(settings);
  return withNode(state, settings, async (node) => {
    const isEnrolled =
      identity !== undefined ||
      (await enrolNode(node, { invite, maxRetries: settings.maxRetries, logger, signal: signals.stop }));
    if (!isEnrolled) return EXIT.ok;
    await writeRemembered(state, settings);
    if (identity === undefined) logger.info({ nodeId: node.nodeId }, "the node is enrolled");
    if (isRunning) return work({ node, state, signals, logger });
    const hub = decodeInvite(invite).address;
    print({ event: "joined", nodeId: node.nodeId, hub }, `joined ${hub} as ${node.nodeId ?? ""}`);
    return EXIT.ok;
  });
}

function begin(settings: NodeSettings): { readonly signals: StopSignals; readonly logger: Logger } {
  const signals = watchStopSignals();
  const logger = createLogger(settings.logLevel ?? "info");
  return { signals, logger };
}

async function withNode(
  state: string,
  settings: NodeSettings,
  use: (node: CortexNode) => Promise<number>,
): Promise<number> {
  makeDirectory(state);
  if (settings.workspaceRoot !== undefined) makeDirectory(settings.workspaceRoot);
  const node = await createNode({
    stateDirectory: state,
    workspaceRoot: settings.workspaceRoot,
    name: settings.name,
    labels: settings.labels,
    maxTasks: settings.maxTasks,
    drainGraceMs: settings.drainGraceMs,
    maxRetries: settings.maxRetries,
  });
  try {
    return await use(node);
  } finally {
    await node.close();
  }
}
