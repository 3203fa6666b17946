/** The command line of `cortex-hub`. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CORTEX_VERSION } from "@cortex-mesh/protocol";
import { describeError, EXIT, exitStatusOf } from "./exit-status.js";
import { showNodes } from "./nodes-command.js";
import { serve } from "./serve.js";
import { type HubFlags, readSettings } from "./settings.js";
import { addUser, listUsers, removeUser } from "./user-command.js";

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

function createProgram(setExitStatus: (status: number) => void): Command {
  const program = new Command("cortex-hub")
    .description("The reference hub of Cortex.")
    .version(CORTEX_VERSION)
    .exitOverride()
    .showHelpAfterError("(--help shows what there is)");

  program
    .command("serve")
    .description("run a hub until SIGTERM or SIGINT")
    .option("--config <file>", "settings in YAML; the environment (CORTEX_HUB_…) and flags go over it")
    .option("--data <dir>", "everything the hub keeps (default: ~/.local/share/cortex-hub)")
    .option("--http <host:port>", "address of the HTTP API; port 0 picks a free one (default: 127.0.0.1:8080)")
    .option("--grpc <host:port>", "address that nodes dial; port 0 picks a free one (default: 127.0.0.1:50051)")
    .option("--advertise <host:port>", "gRPC address written into invites (default: the bound one)")
    .option("--allow-plain-http", "serve HTTP without TLS on an address that is not loopback")
    .action(async (flags: HubFlags) => setExitStatus(await serve(settingsOf(flags))));

  const user = program.command("user").description("manage the users of a hub, running or not");
  withData(user.command("add <name>").description("make a user and print its token, once")).action(
    async (name: string, flags: HubFlags) => addUser(settingsOf(flags).data, name),
  );
  withData(user.command("list").description("list the users")).action(async (flags: HubFlags) =>
    listUsers(settingsOf(flags).data),
  );
  withData(user.command("remove <name>").description("remove a user; what it owns stays")).action(
    async (name: string, flags: HubFlags) => removeUser(settingsOf(flags).data, name),
  );

  withData(program.command("nodes").description("list the nodes of a running hub"))
    .option("--watch", "also print each change")
    .action(async ({ watch, ...flags }: HubFlags & { readonly watch?: boolean }) =>
      showNodes(settingsOf(flags).data, watch === true),
    );
  return program;
}

function withData(command: Command): Command {
  return command.option("--data <dir>", "data directory of the hub (default: ~/.local/share/cortex-hub)");
}

function settingsOf(flags: HubFlags) {
  return readSettings({ flags, env: process.env, readFile: (path) => readFileSync(path, "utf8") });
}
