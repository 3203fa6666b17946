/** `cortex-node`: the reference node. */
import { closeInheritedDescriptors } from "@cortex-mesh/node-sdk";
import { runCommandLine } from "./command-line.js";

// Before anything is opened or started: what this program inherited is not for its tasks.
closeInheritedDescriptors();

// Whoever reads the output may leave first; that is no reason to fall over.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

process.exit(await runCommandLine(process.argv.slice(2)));
