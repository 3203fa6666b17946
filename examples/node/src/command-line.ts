/** The command line of `cortex-node`. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CORTEX_VERSION } from "@cortex-mesh/protocol";
import { drainNode, leaveHub, showStatus } from "./control-commands.js";
import { describeError, EXIT, exitStatusOf } from "./exit-status.js";
import { joinHub, runNode } from "./run-node.js";
import { type NodeFlags, stateDirectoryOf } from "./settings.js";

/** Runs the program with the arguments after its name; gives the exit status. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let exitStatus: number = EXIT.ok;
  const program = createProgram((status) => {
    exitStatus = status;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitStatus;
  } catch (error) {
    // Commander has printed what is wrong; only help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    process.stderr.write(`error: ${describeError(error)}\n`);
    return exitStatusOf(error);
  }
}

interface JoinFlags extends NodeFlags {
  /** False with `--no-run`. */
  readonly run: boolean;
}

function createProgram(setExitStatus: (status: number) => void): Command {
  const program = new Command("cortex-node")
    .description("The reference node of Cortex: lets a hub run tasks on this machine.")
    .version(CORTEX_VERSION)
    .exitOverride()
    .showHelpAfterError("(--help shows what there is)");

  withState(program.command("join <invite>").description("join a hub with an invite, then run"))
    .option("--workspace <dir>", "root under which session workspaces live (default: ~/cortex)")
    .option("--name <name>", "name of the node (default: the invite's, else the host's)")
    .option("--config <file>", CONFIG)
    .option("--no-run", "only join")
    .action(async (invite: string, { run, ...flags }: JoinFlags) =>
      setExitStatus(await joinHub({ ...sourcesOf(flags), invite, isRunning: run })),
    );
  withState(program.command("run").description("run the node until SIGTERM or SIGINT"))
    .option("--config <file>", CONFIG)
    .action(async (flags: NodeFlags) => setExitStatus(await runNode(sourcesOf(flags))));
  withState(program.command("status").description("say how a running node stands")).action(async (flags: NodeFlags) =>
    setExitStatus(await showStatus(stateDirectoryOf({ flags, env: process.env }))),
  );
  withState(program.command("drain").description("let a running node finish its tasks and stop")).action(
    async (flags: NodeFlags) => drainNode(stateDirectoryOf({ flags, env: process.env })),
  );
  withState(
    program.command("leave").description("forget the hub: removes identity and state of a stopped node"),
  ).action(async (flags: NodeFlags) => leaveHub(stateDirectoryOf({ flags, env: process.env })));
  return program;
}

const CONFIG = "settings in YAML; the environment (CORTEX_NODE_…) and flags go over it";

function withState(command: Command): Command {
  return command.option("--state <dir>", "state directory (default: ~/.local/state/cortex-node)");
}

function sourcesOf(flags: NodeFlags) {
  return { flags, env: process.env, readFile: (path: string) => readFileSync(path, "utf8") };
}
