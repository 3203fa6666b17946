/**
 * Reads what `strace -f -yy -ttt` wrote of a hub and of a node while one task ran, and says which promises about the order
 * on disk it breaks. Pure.
 */

/** One system call that matters for the order. */
export interface SystemCall {
  readonly kind: "request" | "answer" | "syncDatabase" | "syncOutput" | "send" | "receive" | "spawn";
  /** Which connection of the tunnel, for `send` and `receive`. */
  readonly socket: string;
  readonly bytes: number;
  readonly line: string;
}

/** A signed grant is larger than this on the wire, and nothing else that the hub sends meanwhile is. */
const MIN_GRANT_BYTES = 400;
/** Reports of a start and of an end are larger than this; heartbeats are smaller. */
const MIN_REPORT_BYTES = 150;
/** A record or an acknowledgement is larger than this; what the transport sends on its own is smaller. */
const MIN_FRAME_BYTES = 60;

const LINE = /^\d+\s+[\d.]+ (\w+)\((.*)$/;

/** Picks the calls that matter out of a trace. `grpcPort` tells the tunnel from the API. */
export function readTrace(trace: string, grpcPort: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, string>();
  const lines = trace.split("\n");
  for (const index of lines.keys()) {
    const line = joinUnfinished(open, withResult(lines, index));
    const [, name, rest] = (line === undefined ? null : LINE.exec(line)) ?? [];
    if (line === undefined || name === undefined || rest === undefined) continue;
    const kind = kindOf(name, rest, grpcPort);
    const socket = /^\d+<(TCP[^>]*>?\d*[^>]*\]>?)/.exec(rest)?.[1] ?? "";
    const bytes = Number(/= (\d+)\s*$/.exec(rest)?.[1] ?? 0);
    if (kind !== undefined) calls.push({ kind, socket, bytes, line: line.slice(0, 300) });
  }
  return calls;
}

/** A write that another thread interrupts counts from its beginning, with the size that is told at its end. */
function withResult(lines: readonly string[], index: number): string {
  const line = lines[index] ?? "";
  const begun = /^(\d+)\s+[\d.]+ (?:write|writev|sendmsg)\(.*<unfinished \.\.\.>$/.exec(line);
  if (begun === null) return line;
  const end = lines.slice(index + 1).find((later) => later.startsWith(`${begun[1]} `) && later.includes(" resumed>"));
  const count = /= (\d+)\s*$/.exec(end ?? "")?.[1] ?? "0";
  return line.replace(/\s*<unfinished \.\.\.>$/, ` = ${count}`);
}

/** strace splits a call that another thread interrupts: a sync counts from its end, everything else from its beginning. */
function joinUnfinished(open: Map<string, string>, line: string): string | undefined {
  const pid = line.slice(0, line.indexOf(" "));
  const resumed = /^\d+\s+([\d.]+) <\.\.\. \w+ resumed>(.*)$/.exec(line);
  if (resumed !== null) {
    const begun = open.get(pid);
    open.delete(pid);
    return begun === undefined ? undefined : `${pid} ${resumed[1]} ${begun}${resumed[2]}`;
  }
  const unfinished = /^\d+\s+[\d.]+ (.*?)\s*<unfinished \.\.\.>$/.exec(line);
  if (unfinished === null) return line;
  const begun = unfinished[1] ?? "";
  if (!/^(fsync|fdatasync|read)\(/.test(begun)) return line.replace(/\s*<unfinished \.\.\.>$/, " = 0");
  open.set(pid, begun);
  return undefined;
}

function kindOf(name: string, rest: string, grpcPort: string): SystemCall["kind"] | undefined {
  const isTunnel = rest.split(", ")[0]?.includes(`:${grpcPort}`) === true;
  switch (name) {
    case "fsync":
    case "fdatasync":
      if (/\.db(-wal)?>/.test(rest)) return "syncDatabase";
      return /\/(output\/[^/>]+\/std(out|err)|spool\/[^/>]+\/[^/>]+)>/.test(rest) ? "syncOutput" : undefined;
    case "read":
      if (/"POST \/api\/v1\/sessions\/[^"]*dispatch/.test(rest)) return "request";
      return isTunnel ? "receive" : undefined;
    case "write":
    case "writev":
    case "sendmsg":
      if (/HTTP\/1\.1 202/.test(rest)) return "answer";
      return isTunnel ? "send" : undefined;
    case "execve":
      return /"(\/usr)?\/bin\/(ba|da)?sh"/.test(rest) ? "spawn" : undefined;
    default:
      return undefined;
  }
}

/** A promise with the calls that lie between its two ends; `needs` have to be among them, in this order. */
export interface DiskPromise {
  readonly promise: string;
  readonly between: readonly SystemCall[];
  readonly needs: readonly SystemCall["kind"][];
}

/** The promises of the hub over one task. @throws Error when the trace lacks an end to measure from */
export function hubPromises(calls: readonly SystemCall[]): DiskPromise[] {
  const request = find(calls, { after: 0, what: "the request" }, ({ kind }) => kind === "request");
  const answer = find(calls, { after: request, what: "the 202" }, ({ kind }) => kind === "answer");
  const grant = find(
    calls,
    { after: request, what: "the grant" },
    ({ kind, bytes }) => kind === "send" && bytes >= MIN_GRANT_BYTES,
  );
  const control = calls[grant]?.socket;
  const isReport = ({ kind, bytes, socket }: SystemCall): boolean =>
    kind === "receive" && bytes >= MIN_REPORT_BYTES && socket === control;
  const started = find(calls, { after: grant, what: "the start report" }, isReport);
  const result = find(calls, { after: started, what: "the result" }, isReport);
  const isAck = (socket: string | undefined) => (call: SystemCall) =>
    call.kind === "send" && call.bytes >= MIN_FRAME_BYTES && call.socket === socket;
  const resultAck = find(calls, { after: result, what: "the result's acknowledgement" }, isAck(control));
  const log = find(
    calls,
    { after: grant, what: "the output" },
    ({ kind, bytes, socket }) => kind === "receive" && bytes >= MIN_FRAME_BYTES && socket !== control,
  );
  const logAck = find(calls, { after: log, what: "the output's acknowledgement" }, isAck(calls[log]?.socket));
  return [
    {
      promise: "the task is on the hub's disk before the 202",
      between: calls.slice(request, answer),
      needs: ["syncDatabase"],
    },
    {
      promise: "the task and its lease are on the hub's disk before the grant is sent",
      between: calls.slice(request, grant),
      needs: ["syncDatabase", "syncDatabase"],
    },
    {
      promise: "the output is on the hub's disk before it is acknowledged",
      between: calls.slice(log, logAck),
      needs: ["syncOutput", "syncDatabase"],
    },
    {
      promise: "the end is on the hub's disk before the result is acknowledged",
      between: calls.slice(result, resultAck),
      needs: ["syncDatabase"],
    },
  ];
}

/** The promises of the node over one task. @throws Error when the trace lacks an end to measure from */
export function nodePromises(calls: readonly SystemCall[]): DiskPromise[] {
  const grant = find(
    calls,
    { after: 0, what: "the grant" },
    ({ kind, bytes }) => kind === "receive" && bytes >= MIN_GRANT_BYTES,
  );
  const control = calls[grant]?.socket;
  const spawn = find(calls, { after: grant, what: "the spawn" }, ({ kind }) => kind === "spawn");
  const isReport = ({ kind, bytes, socket }: SystemCall): boolean =>
    kind === "send" && bytes >= MIN_REPORT_BYTES && socket === control;
  const started = find(calls, { after: grant, what: "the start report" }, isReport);
  const result = find(calls, { after: started, what: "the result" }, isReport);
  return [
    {
      promise: "the start is on the node's disk before the spawn",
      between: calls.slice(grant, spawn),
      needs: ["syncDatabase"],
    },
    {
      promise: "output and result are on the node's disk before the result is sent",
      between: calls.slice(started, result),
      needs: ["syncOutput", "syncDatabase"],
    },
  ];
}

/** The promises that do not hold. */
export function broken(promises: readonly DiskPromise[]): string[] {
  return promises.filter(({ between, needs }) => !hasInOrder(between, needs)).map(({ promise }) => promise);
}

/** Every way to take one needed sync out of what lies between the ends of a promise. */
export function withoutOneSync(promise: DiskPromise): DiskPromise[] {
  return promise.between.flatMap((call, index) =>
    promise.needs.includes(call.kind)
      ? [{ ...promise, between: promise.between.filter((_, other) => other !== index) }]
      : [],
  );
}

function hasInOrder(calls: readonly SystemCall[], needs: readonly SystemCall["kind"][]): boolean {
  let met = 0;
  for (const { kind } of calls) if (kind === needs[met]) met++;
  return met === needs.length;
}

function find(
  calls: readonly SystemCall[],
  { after, what }: { readonly after: number; readonly what: string },
  is: (call: SystemCall) => boolean,
): number {
  const index = calls.findIndex((call, at) => at > after - (after === 0 ? 1 : 0) && is(call));
  if (index >= 0) return index;
  throw new Error(
    `the trace does not show ${what}; it has:\n${calls.map(({ kind, bytes, socket }) => `${kind} ${bytes} ${socket}`).join("\n")}`,
  );
}
