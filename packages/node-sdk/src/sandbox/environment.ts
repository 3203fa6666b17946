/**
 * The environment of a task: a small base, and what the dispatch asks for over it.
 *
 * Pure. Of the node's own environment only a cleaned PATH and LANG come in; a secret of the node cannot reach a task
 * this way. Names that change how a loader, a shell or a runtime behaves before the command starts are left out, and
 * so are the names that Cortex marks its processes with.
 *
 * - Errors: `BAD_REQUEST` for a name or value that cannot be passed, `TOO_LARGE` over {@link MAX_ENVIRONMENT_BYTES}.
 */
import { isAbsolute } from "node:path";
import { CortexError } from "@cortex-mesh/protocol";

/** Names and values together; far below what `execve` takes, as large as a task's input may be. */
export const MAX_ENVIRONMENT_BYTES = 256 * 1024;

/** Used where the node has no usable PATH. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Used where the node has no usable LANG. */
const DEFAULT_LANG = "C.UTF-8";

const DENIED_NAMES: ReadonlySet<string> = new Set([
  // Loader and C library.
  "GLIBC_TUNABLES",
  "GCONV_PATH",
  "LOCPATH",
  // Shells run or obey these before the command.
  "BASH_ENV",
  "BASHOPTS",
  "ENV",
  "IFS",
  "PROMPT_COMMAND",
  "PS4",
  "SHELLOPTS",
  // Runtimes load code from these.
  "NODE_OPTIONS",
  "NODE_REPL_EXTERNAL_MODULE",
  "PERL5DB",
  "PERL5OPT",
  "PYTHONSTARTUP",
  "RUBYOPT",
  "JAVA_TOOL_OPTIONS",
  "JDK_JAVA_OPTIONS",
  "_JAVA_OPTIONS",
]);

const DENIED_PREFIXES = ["LD_", "DYLD_", "CORTEX_"] as const;

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
const LANG = /^[A-Za-z0-9_.@-]{1,64}$/;

/** What {@link buildEnvironment} needs. */
export interface EnvironmentOptions {
  /** Becomes HOME. */
  readonly workspacePath: string;
  /** Becomes TMPDIR. */
  readonly temporaryPath: string;
  /** The node's own environment, of which PATH and LANG are read. */
  readonly host: Readonly<Record<string, string | undefined>>;
  /** What the dispatch asks for. */
  readonly requested?: Readonly<Record<string, string>>;
}

/** The environment, and which of the requested names were left out. */
export interface TaskEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** Requested names on the deny list, in order. */
  readonly denied: readonly string[];
}

/** Whether a task may not choose the value of this name. */
export function isDeniedName(name: string): boolean {
  return DENIED_NAMES.has(name) || DENIED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

/** Builds the complete environment of a task. */
export function buildEnvironment(options: EnvironmentOptions): TaskEnvironment {
  // Without a prototype, so that a name like `__proto__` is a name.
  const env = Object.create(null) as Record<string, string>;
  const lang = options.host["LANG"] ?? "";
  env["PATH"] = cleanPath(options.host["PATH"] ?? "");
  env["HOME"] = options.workspacePath;
  env["LANG"] = LANG.test(lang) ? lang : DEFAULT_LANG;
  env["TMPDIR"] = options.temporaryPath;
  const denied: string[] = [];
  let sizeBytes = 0;
  for (const [name, value] of Object.entries(options.requested ?? {})) {
    assertPassable(name, value);
    sizeBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
    if (sizeBytes > MAX_ENVIRONMENT_BYTES) {
      throw new CortexError("TOO_LARGE", `env holds more than ${MAX_ENVIRONMENT_BYTES} bytes`);
    }
    if (isDeniedName(name)) denied.push(name);
    else env[name] = value;
  }
  return { env, denied };
}

/**
 * Cleans a PATH: absolute directories only, each once, and none that a package manager put there for its own scripts.
 *
 * An empty or relative entry would mean the task's working directory, whose files decide nothing.
 */
export function cleanPath(path: string): string {
  const kept = new Set<string>();
  for (const entry of path.split(":")) {
    if (!isAbsolute(entry) || entry.includes("\0")) continue;
    if (entry.endsWith("/node_modules/.bin") || entry.endsWith("/node-gyp-bin")) continue;
    kept.add(entry);
  }
  return kept.size === 0 ? DEFAULT_PATH : [...kept].join(":");
}

function assertPassable(name: string, value: unknown): asserts value is string {
  if (!NAME.test(name)) {
    throw new CortexError("BAD_REQUEST", `env: ${JSON.stringify(name.slice(0, 64))} is no name of a variable`);
  }
  if (typeof value !== "string" || value.includes("\0")) {
    throw new CortexError("BAD_REQUEST", `env.${name} must be a string without NUL`);
  }
}
