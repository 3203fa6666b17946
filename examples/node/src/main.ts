/** `cortex-node`: the reference node. */
import { closeInheritedDescriptors } from "@cortex-mesh/node-sdk";
import { runCommandLine } from "./command-line.js";

// First, before anything could start a process that would inherit them in turn.
closeInheritedDescriptors();

// Whoever reads the output may leave first; that is no reason to fall over.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

process.exit(await runCommandLine(process.argv.slice(2)));
