/**
 * The figures of one hub in the text format of Prometheus.
 *
 * Each hub has a registry of its own: several in one process do not add up, and a host's own figures stay apart.
 */
import { STATUS_CODES } from "node:http";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { CORTEX_VERSION } from "@cortex-mesh/protocol";
import type { HubMetrics } from "./hub-metrics.js";
import { createNodeMetrics, createTrustMetrics } from "./node-metrics.js";
import { toSeconds } from "./seconds.js";
import { createTaskMetrics } from "./task-metrics.js";

/** What to keep figures of. */
export interface PrometheusOptions {
  /** Also figures of the process: event loop, memory, garbage, descriptors. For the one who owns it. @default false */
  readonly hasProcess?: boolean | undefined;
}

const COMMIT_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
const COMMIT_BUCKETS_TRANSACTIONS = [1, 2, 4, 8, 16, 32, 64];
const REQUEST_BUCKETS_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Makes the figures of a hub. */
export function createPrometheusMetrics({ hasProcess = false }: PrometheusOptions = {}): HubMetrics {
  const registry = new Registry();
  new Gauge({
    name: "cortex_hub_info",
    help: "Always 1; the version is in the label.",
    labelNames: ["version"],
    registers: [registry],
  }).set({ version: CORTEX_VERSION }, 1);
  if (hasProcess) collectDefaultMetrics({ register: registry });
  return {
    ...createNodeMetrics(registry),
    ...createTrustMetrics(registry),
    ...createTaskMetrics(registry),
    ...createStoreMetrics(registry),
    ...createHttpMetrics(registry),
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

function createStoreMetrics(registry: Registry): Pick<HubMetrics, "storeCommitted"> {
  const registers = [registry];
  const seconds = new Histogram({
    name: "cortex_store_commit_seconds",
    help: "Time of a commit of the store, from its begin until it is durable.",
    buckets: COMMIT_BUCKETS_SECONDS,
    registers,
  });
  const transactions = new Histogram({
    name: "cortex_store_commit_transactions",
    help: "Transactions that shared a commit.",
    buckets: COMMIT_BUCKETS_TRANSACTIONS,
    registers,
  });
  return {
    storeCommitted({ durationMs, transactionCount }) {
      seconds.observe(toSeconds(durationMs));
      transactions.observe(transactionCount);
    },
  };
}

function createHttpMetrics(registry: Registry): Pick<HubMetrics, "requestAnswered" | "readerOpened"> {
  const registers = [registry];
  const requests = new Counter({
    name: "cortex_http_requests_total",
    help: "Answered HTTP requests, by operation and status.",
    labelNames: ["operation", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "cortex_http_request_seconds",
    help: "Time from an HTTP request until the head of its answer.",
    labelNames: ["operation"],
    buckets: REQUEST_BUCKETS_SECONDS,
    registers,
  });
  const readers = new Gauge({
    name: "cortex_event_readers",
    help: "Clients that follow events right now.",
    labelNames: ["kind"],
    registers,
  });
  for (const kind of ["sse", "websocket"]) readers.set({ kind }, 0);
  return {
    requestAnswered({ operation, status, durationMs }) {
      requests.inc({ operation, status: statusLabel(status) });
      seconds.observe({ operation }, toSeconds(durationMs));
    },
    readerOpened(kind) {
      readers.inc({ kind });
      let isOpen = true;
      return () => {
        if (isOpen) readers.dec({ kind });
        isOpen = false;
      };
    },
  };
}

/** The client went away before its answer; no standard names it. */
const CLIENT_CLOSED = 499;

/** Each status that has a name, so that a fault (500) is told from a plain answer (503): a closed set, whatever a host's operation says. */
function statusLabel(status: number): string {
  return status in STATUS_CODES || status === CLIENT_CLOSED ? String(status) : "other";
}
