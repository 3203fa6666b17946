/**
 * System programs that the tests use, installed where this is a Debian and may be changed, else named.
 *
 * Nothing here is an error: what stays missing makes the tests that need it skip, with their reason.
 */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runQuietly, say } from "./terminal.mjs";

/** Program looked for on the PATH -> Debian package that has it. */
const FOR_TESTS = { strace: "strace" };

/** @param {string} program */
function isOnPath(program) {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this directory
    }
  });
}

/** @returns {Promise<readonly string[] | undefined>} what to put before apt-get; undefined when it may not be run */
async function findPrivilege() {
  if (!existsSync("/etc/debian_version") || !isOnPath("apt-get")) return undefined;
  if (process.getuid?.() === 0) return [];
  if (isOnPath("sudo") && (await runQuietly("sudo", ["-n", "true"])).status === 0) return ["sudo", "-n"];
  return undefined;
}

/**
 * @param {readonly string[]} privilege
 * @param {readonly string[]} packages
 */
async function aptInstall(privilege, packages) {
  const apt = (/** @type {string[]} */ ...args) => {
    const [command = "env", ...rest] = [
      ...privilege,
      "env",
      "DEBIAN_FRONTEND=noninteractive",
      "apt-get",
      "-q",
      ...args,
    ];
    return runQuietly(command, rest);
  };
  const install = ["install", "-y", "--no-install-recommends", ...packages];
  const first = await apt(...install);
  if (first.status === 0) return first;
  await apt("update"); // a fresh machine has no package lists yet
  return apt(...install);
}

/** @returns {Promise<string>} what was done, in a few words */
export async function installSystemPackages() {
  if (process.platform !== "linux") return "none needed here";
  const missing = Object.entries(FOR_TESTS).filter(([program]) => !isOnPath(program));
  if (missing.length === 0) return "present";
  const packages = missing.map(([, name]) => name);
  const privilege = await findPrivilege();
  if (privilege !== undefined) {
    const { status, output } = await aptInstall(privilege, packages);
    if (status === 0) return `installed ${packages.join(", ")}`;
    say(`\n${output}`);
  }
  const command = existsSync("/etc/debian_version")
    ? `sudo apt-get update && sudo apt-get install -y ${packages.join(" ")}`
    : `install ${packages.join(", ")} with this system's package manager`;
  return `missing: ${packages.join(", ")}; tests that need it are skipped. To have them run: ${command}`;
}
