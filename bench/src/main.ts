/**
 * The benchmark: `npm run bench -- [--row NAME]… [--quick]`.
 *
 * A run of every row at full size writes `docs/proof/benchmarks.json` and, from it, `docs/benchmarks.md`; any other run
 * only prints. The processes that take part in a row are this program again, as `peer NAME`.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type BenchArguments, readArguments } from "./arguments.js";
import { servePeer } from "./peers/peer.js";
import { PEERS } from "./peers/table.js";
import { ROWS } from "./rows/table.js";
import { runRows } from "./run.js";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const EXIT_USAGE = 64;

const [role, name, ...others] = process.argv.slice(2);
const makePeer = role === "peer" && name !== undefined && others.length === 0 ? PEERS[name] : undefined;
if (makePeer !== undefined) servePeer(await makePeer());
else process.exitCode = await runFromArguments();

async function runFromArguments(): Promise<number> {
  let asked: BenchArguments;
  try {
    asked = readArguments(
      process.argv.slice(2),
      ROWS.map((row) => row.name),
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return EXIT_USAGE;
  }
  return runRows(ROWS, asked, ROOT);
}
