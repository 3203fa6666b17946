/**
 * What this machine has, in a form that tasks can be routed by.
 *
 * The base (system, processor, memory, disk, shell) is read at once; tools and graphics take up to
 * {@link DISCOVERY_LIMIT_MS} and come later, so that a node connects without waiting for them.
 */
import { readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import { type Clock, systemClock } from "@cortex-mesh/protocol";
import { findShell } from "./find-program.js";
import { discoverGpus, type GpuInfo } from "./graphics.js";
import { discoverTools } from "./tools.js";

/** Longest time a discovery takes, in milliseconds; what was not found by then is absent. */
export const DISCOVERY_LIMIT_MS = 3_000;

/** What a node can do, without its skills, which the node adds. */
export interface Capabilities {
  readonly os: {
    /** As Node names it: `linux`, `darwin`, `win32`, … */
    readonly platform: string;
    /** For example `Debian GNU/Linux 12 (bookworm)`; empty where the system has none. */
    readonly distribution: string;
    /** Release of the kernel. */
    readonly release: string;
    readonly arch: string;
  };
  readonly cpu: { readonly model: string; readonly cores: number };
  /** What tasks can use: the machine's memory, or the limit that the node itself runs under. */
  readonly memory: { readonly totalBytes: number };
  /** The file system of the workspaces. */
  readonly disk: { readonly totalBytes: number; readonly freeBytes: number };
  readonly gpus: readonly GpuInfo[];
  /** Tool to version, for example `{"git": "2.39.5"}`. */
  readonly tools: Readonly<Record<string, string>>;
  /** What runs a `command`; undefined on a machine without bash and sh. */
  readonly shell: "bash" | "sh" | undefined;
  /** Isolation levels that were proven, weakest first. */
  readonly sandboxes: readonly string[];
}

/** What a discovery needs. */
export interface DiscoveryOptions {
  /** Directory of the workspaces; must exist. */
  readonly workspaceRoot: string;
  /** The environment of a task; its PATH is searched. */
  readonly env: Readonly<Record<string, string>>;
  /** @default ["none"] */
  readonly sandboxes?: readonly string[];
  /** Ends the discovery early; what was found by then is given. */
  readonly signal?: AbortSignal;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** The capabilities of a node: discovered once, again when asked. */
export interface CapabilitySource {
  /** What is known now; at first the base without tools and graphics. */
  current(): Capabilities;
  /** Discovers anew; a discovery under way is joined. */
  refresh(): Promise<Capabilities>;
}

/** Reads the base and leaves the rest to {@link CapabilitySource.refresh}. */
export function createCapabilitySource(options: DiscoveryOptions): CapabilitySource {
  let known = readBaseCapabilities(options);
  let running: Promise<Capabilities> | undefined;
  return {
    current: () => known,
    refresh() {
      running ??= discoverCapabilities(options)
        .then((found) => (known = found))
        .finally(() => {
          running = undefined;
        });
      return running;
    },
  };
}

/** Discovers everything, within {@link DISCOVERY_LIMIT_MS}. */
export async function discoverCapabilities(options: DiscoveryOptions): Promise<Capabilities> {
  const clock = options.clock ?? systemClock;
  const limit = new AbortController();
  const timer = clock.setTimer(() => limit.abort(), DISCOVERY_LIMIT_MS);
  const signal = AbortSignal.any([limit.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  try {
    const base = readBaseCapabilities(options);
    const [tools, gpus] = await Promise.all([
      discoverTools({ env: options.env, signal, clock }),
      untilAborted(discoverGpus(), signal, []),
    ]);
    return { ...base, tools, gpus };
  } finally {
    timer.cancel();
  }
}

/** Reads what takes no time: everything but tools and graphics. */
export function readBaseCapabilities({ workspaceRoot, env, sandboxes = ["none"] }: DiscoveryOptions): Capabilities {
  const disk = statfsSync(workspaceRoot);
  return {
    os: { platform: platform(), distribution: readDistribution(), release: release(), arch: arch() },
    cpu: { model: cpus()[0]?.model.trim() ?? "", cores: availableParallelism() },
    memory: { totalBytes: usableMemoryBytes(totalmem(), process.constrainedMemory()) },
    disk: { totalBytes: disk.blocks * disk.bsize, freeBytes: disk.bavail * disk.bsize },
    gpus: [],
    tools: {},
    shell: findShell(env["PATH"] ?? "")?.name,
    sandboxes,
  };
}

/** The smaller of the machine's memory and the process' limit; 0 or a limit above the machine's memory is none. */
export function usableMemoryBytes(totalBytes: number, limitBytes: number | undefined): number {
  return limitBytes !== undefined && limitBytes > 0 ? Math.min(totalBytes, limitBytes) : totalBytes;
}

/** The name of a distribution from the text of an `os-release` file; empty when it names none. */
export function parseDistribution(text: string): string {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^([A-Z_]+)=(["']?)(.*)\2$/.exec(line.trim());
    if (match?.[1] !== undefined) fields.set(match[1], match[3] ?? "");
  }
  const named = [fields.get("NAME"), fields.get("VERSION")].filter((part) => part !== undefined && part !== "");
  return fields.get("PRETTY_NAME") || named.join(" ");
}

function readDistribution(): string {
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      return parseDistribution(readFileSync(path, "utf8"));
    } catch {
      // Not every system has the file; the next place is tried.
    }
  }
  return "";
}

/** Gives `fallback` when the signal comes first; what is under way ends by itself and is not looked at. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal, fallback: T): Promise<T> {
  if (signal.aborted) return Promise.resolve(fallback);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(fallback);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
