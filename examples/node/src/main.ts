/** `cortex-node`: the reference node. */
import { runCommandLine } from "./command-line.js";

// Whoever reads the output may leave first; that is no reason to fall over.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

process.exit(await runCommandLine(process.argv.slice(2)));
