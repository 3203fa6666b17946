/** The rows, in the order in which they run. */
import type { Row } from "../row.js";
import { controlRoundTrip } from "./control-round-trip.js";
import { longLink } from "./long-link.js";
import { noisyOutput } from "./noisy-output.js";
import { shortTask } from "./short-task.js";
import { smallFrames } from "./small-frames.js";

/** All of them. */
export const ROWS: readonly Row[] = [controlRoundTrip, smallFrames, shortTask, noisyOutput, longLink];
