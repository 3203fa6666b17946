/**
 * Heartbeats: figures up, lease down. Also finds what a broken path hides: a control stream whose frames no longer arrive
 * although heartbeats do, and a node that fell silent without closing anything.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Clock, CortexError, type Link, type Timer } from "@cortex-mesh/protocol";
import { type Heartbeat, HeartbeatSchema, LeaseAnswerSchema } from "@cortex-mesh/protocol/gen";
import type { NodeUsage } from "../nodes/connection.js";
import type { HubConnection } from "./hub-connection.js";
import { untilTaken } from "./until-taken.js";
import { readCount, readFrame } from "./wire.js";

/** Time between heartbeats, as told to the node. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** A node that says nothing for this long is offline. */
export const OFFLINE_AFTER_MS = 12_000;
/** How long a heartbeat holds the lease. */
export const LEASE_MS = 20_000;

/** Ends a connection that is silent. Counts from its making: one whose health stream never comes is silent as well. */
export interface SilenceWatch {
  heard(): void;
}

/** Starts to watch a connection that was just registered. */
export function watchSilence(connection: HubConnection, clock: Clock): SilenceWatch {
  let silence: Timer | undefined;
  const heard = (): void => {
    silence?.cancel();
    if (connection.isClosed) return;
    silence = clock.setTimer(
      () => connection.close(new CortexError("TIMED_OUT", "the node sent no heartbeat in time")),
      OFFLINE_AFTER_MS,
    );
  };
  heard();
  void connection.closed.then(() => silence?.cancel());
  return { heard };
}

/** Who hears of heartbeats. */
export interface HealthListeners {
  readonly silence: SilenceWatch;
  /** Hears of each round trip that the node measured. */
  readonly onRoundTrip?: ((durationMs: number) => void) | undefined;
}

/** Handles the health stream of one connection. */
export function attachHealth(connection: HubConnection, link: Link, { silence, onRoundTrip }: HealthListeners): void {
  let previous: ControlPosition | undefined;
  const answer = (heartbeat: Heartbeat): void => {
    const lease = create(LeaseAnswerSchema, {
      seq: heartbeat.seq,
      epoch: heartbeat.epoch,
      leaseMs: LEASE_MS,
      controlSentSeq: BigInt(connection.controlSentSeq),
      controlReceivedSeq: BigInt(connection.controlReceivedSeq),
    });
    link.send(toBinary(LeaseAnswerSchema, lease));
  };

  connection.attachLink(link, "health");
  void link.closed.then((error) =>
    connection.close(error ?? new CortexError("UNAVAILABLE", "the node closed its health stream")),
  );
  link.onFrames((frames) => {
    for (const bytes of frames) {
      const heartbeat = readFrame(HeartbeatSchema, bytes);
      if (heartbeat.epoch !== BigInt(connection.epoch)) continue;
      silence.heard();
      const roundTripMs = heartbeat.roundTripMs > 0 ? heartbeat.roundTripMs : undefined;
      connection.setUsage(readUsage(heartbeat), roundTripMs);
      if (roundTripMs !== undefined) onRoundTrip?.(roundTripMs);
      const position = { sent: readCount(heartbeat.controlSentSeq), received: connection.controlReceivedSeq };
      if (isStuck(previous, position)) {
        connection.close(
          new CortexError("STREAM_GAP", `the node sent ${position.sent} control frames, ${position.received} arrived`),
        );
        return undefined;
      }
      // While the hub itself holds the stream up, nothing can be said about what did not arrive.
      previous = connection.isHandling ? undefined : position;
      answer(heartbeat);
    }
    return untilTaken(link);
  });
}

/** How far the control stream was, at one heartbeat. */
export interface ControlPosition {
  readonly sent: number;
  readonly received: number;
}

/** Whether frames that were on their way at the last heartbeat still have not come. Pure. */
export function isStuck(previous: ControlPosition | undefined, now: ControlPosition): boolean {
  return previous !== undefined && previous.sent > previous.received && now.received === previous.received;
}

function readUsage(heartbeat: Heartbeat): NodeUsage {
  return {
    cpuRatio: heartbeat.cpuRatio,
    memoryRatio: heartbeat.memoryRatio,
    memoryFreeBytes: readCount(heartbeat.memoryFreeBytes),
    loadAverage: heartbeat.loadAverage,
    diskFreeBytes: readCount(heartbeat.diskFreeBytes),
    diskRatio: heartbeat.diskRatio,
    runningTasks: heartbeat.runningTasks,
    queuedTasks: heartbeat.queuedTasks,
    processRssBytes: readCount(heartbeat.processRssBytes),
  };
}
