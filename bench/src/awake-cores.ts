/**
 * Keeps the cores of this machine awake while latencies are measured.
 *
 * A virtual core that has nothing to do is given back to its host, and waking it takes several times as long as a round
 * trip over loopback; a process of the lowest priority on each core leaves the measured ones all the time they want.
 */
import { spawn } from "node:child_process";
import { availableParallelism, constants, setPriority } from "node:os";

const SPIN = "for (;;);";

/** Starts it; disposing ends it. */
export function keepCoresAwake(): Disposable {
  const children = Array.from({ length: availableParallelism() }, () =>
    spawn(process.execPath, ["-e", SPIN], { stdio: "ignore" }),
  );
  for (const { pid } of children) if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_LOW);
  return {
    [Symbol.dispose]() {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}
