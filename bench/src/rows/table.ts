/** The rows, in the order in which they run. */
import type { Row } from "../row.js";
import { controlRoundTrip } from "./control-round-trip.js";
import { idleHeartbeats } from "./idle-heartbeats.js";
import { idleNodes } from "./idle-nodes.js";
import { longLink } from "./long-link.js";
import { lostNode } from "./lost-node.js";
import { nodeBack } from "./node-back.js";
import { noisyOutput } from "./noisy-output.js";
import { reconnect } from "./reconnect.js";
import { shortTask } from "./short-task.js";
import { smallFrames } from "./small-frames.js";

/** All of them. */
export const ROWS: readonly Row[] = [
  controlRoundTrip,
  smallFrames,
  shortTask,
  noisyOutput,
  longLink,
  idleNodes,
  idleHeartbeats,
  reconnect,
  nodeBack,
  lostNode,
];
