/**
 * Ends the process with a clear message when the running Node is too old. Imported first, for its effect.
 */
const MIN_MAJOR = 20;
const MIN_MINOR = 19;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < MIN_MAJOR || (major === MIN_MAJOR && minor < MIN_MINOR)) {
  process.stderr.write(
    `Cortex needs Node ${MIN_MAJOR}.${MIN_MINOR} or newer; this is ${process.version} (${process.execPath}).\n`,
  );
  process.exit(1);
}
