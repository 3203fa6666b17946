/** Figures of nodes: who is here, how steadily, and how they are let in. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ConnectionFigures, HubMetrics } from "./hub-metrics.js";
import { toSeconds } from "./seconds.js";

const ROUND_TRIP_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** Makes the figures of connected nodes in `registry`. */
export function createNodeMetrics(
  registry: Registry,
): Pick<HubMetrics, "watchConnections" | "nodeOnline" | "nodeOffline" | "heartbeat"> {
  const registers = [registry];
  let list = (): Iterable<ConnectionFigures> => [];
  const connected = new Gauge({
    name: "cortex_nodes_connected",
    help: "Nodes with a connection, by status; one that has not said its hello yet is connecting.",
    labelNames: ["status"],
    registers,
    collect() {
      const counts = { connecting: 0, online: 0, draining: 0 };
      for (const connection of list()) counts[statusOf(connection)] += 1;
      for (const [status, count] of Object.entries(counts)) this.set({ status }, count);
    },
  });
  void connected;
  const welcomed = new Counter({
    name: "cortex_node_connections_total",
    help: "Nodes that were welcomed, again or for the first time.",
    registers,
  });
  const returned = new Counter({
    name: "cortex_node_reconnects_total",
    help: "Nodes that were welcomed again.",
    registers,
  });
  const left = new Counter({
    name: "cortex_node_offline_total",
    help: "Nodes whose connection ended without a newer one, by the code of the reason.",
    labelNames: ["code"],
    registers,
  });
  const roundTrip = new Histogram({
    name: "cortex_node_heartbeat_round_trip_seconds",
    help: "Time from a heartbeat of a node until it had the answer, as nodes measure it.",
    buckets: ROUND_TRIP_BUCKETS_SECONDS,
    registers,
  });
  return {
    watchConnections(next) {
      list = next;
    },
    nodeOnline(isReturn) {
      welcomed.inc();
      if (isReturn) returned.inc();
    },
    nodeOffline: (code) => left.inc({ code }),
    heartbeat: (roundTripMs) => roundTrip.observe(toSeconds(roundTripMs)),
  };
}

function statusOf({ isReady, isDraining }: ConnectionFigures): "connecting" | "online" | "draining" {
  if (!isReady) return "connecting";
  return isDraining ? "draining" : "online";
}

/** Makes the figures of invites and tokens in `registry`. */
export function createTrustMetrics(
  registry: Registry,
): Pick<HubMetrics, "inviteMade" | "nodeEnrolled" | "enrolmentRefused" | "tokenIssued" | "tokenRefused"> {
  const registers = [registry];
  const made = new Counter({ name: "cortex_invites_created_total", help: "Invites that were made.", registers });
  const redeemed = new Counter({
    name: "cortex_invites_redeemed_total",
    help: "Invites that became a node.",
    registers,
  });
  const refused = new Counter({
    name: "cortex_enrolments_refused_total",
    help: "Machines that were not let in, by the code of the reason.",
    labelNames: ["code"],
    registers,
  });
  const issued = new Counter({
    name: "cortex_node_tokens_issued_total",
    help: "Tokens for nodes that proved their key: to connect, or to renew an earlier one.",
    labelNames: ["purpose"],
    registers,
  });
  for (const purpose of ["connect", "renew"]) issued.inc({ purpose }, 0);
  const failed = new Counter({
    name: "cortex_node_tokens_refused_total",
    help: "Requests for a token that were refused, by the code of the reason.",
    labelNames: ["code"],
    registers,
  });
  return {
    inviteMade: () => made.inc(),
    nodeEnrolled: () => redeemed.inc(),
    enrolmentRefused: (code) => refused.inc({ code }),
    tokenIssued: (purpose) => issued.inc({ purpose }),
    tokenRefused: (code) => failed.inc({ code }),
  };
}
