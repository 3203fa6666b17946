/**
 * Closes what the node inherited from whoever started it, before any task could inherit it in turn.
 *
 * Node opens its own descriptors close-on-exec, but one that was open before (a lock, a pipe, a socket of a
 * supervisor or a terminal program) stays open in each child. For the node program to call once, first thing.
 *
 * Linux only: elsewhere there is no way to see the flag without native code, and nothing is closed.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";

/** `O_CLOEXEC` as `/proc/<pid>/fdinfo` prints it, in octal. */
const CLOSE_ON_EXEC = 0o2000000;
const FIRST_CHECKED = 3;

/** What {@link closeInheritedDescriptors} leaves alone. */
export interface CloseInheritedOptions {
  /** Descriptors that the program was given on purpose, for example by socket activation. */
  readonly keep?: readonly number[];
}

/**
 * Closes each descriptor above 2 that a child process would inherit, and gives their numbers.
 *
 * Never closes what Node opened itself, nor the channel to a parent Node process.
 */
export function closeInheritedDescriptors(options: CloseInheritedOptions = {}): number[] {
  if (process.platform !== "linux") return [];
  const kept = new Set([...(options.keep ?? []), ...channelDescriptors()]);
  const closed: number[] = [];
  for (const name of readdirSync("/proc/self/fd")) {
    const descriptor = Number(name);
    if (descriptor < FIRST_CHECKED || kept.has(descriptor) || !isInheritable(descriptor)) continue;
    closeSync(descriptor);
    closed.push(descriptor);
  }
  return closed;
}

/** Whether the text of a `/proc/<pid>/fdinfo/<n>` lacks the close-on-exec flag; false when it does not say. */
export function isInheritableInfo(text: string): boolean {
  const match = /^flags:\s*([0-7]+)$/m.exec(text);
  return match?.[1] !== undefined && (Number.parseInt(match[1], 8) & CLOSE_ON_EXEC) === 0;
}

function isInheritable(descriptor: number): boolean {
  try {
    return isInheritableInfo(readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1"));
  } catch {
    // The descriptor of the listing itself is closed by now.
    return false;
  }
}

function channelDescriptors(): number[] {
  const descriptor: unknown = process.channel === undefined ? undefined : Reflect.get(process.channel, "fd");
  return typeof descriptor === "number" ? [descriptor] : [];
}
