import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.js";
import { decodeGap, MAX_RECORD_BYTES } from "../../src/log/record.js";
import { MAX_PENDING_BYTES, MIN_LOG_QUOTA_BYTES } from "../../src/log/segment-log.js";
import { readAll, textsOf } from "./support/read-all.js";
import { appendTexts, codeOf, textsTo, useLogs } from "./support/use-logs.js";
import { systemError } from "./support/watch-files.js";

const logs = useLogs();

describe("segment log: appending and reading", () => {
  it("E2: records are numbered from 1 and readable at once, also before they are written", async () => {
    const log = await logs.open({ clock: { nowMs: () => 77 } as Clock });
    expect([log.append(1, Buffer.from("a")), log.append(2, Buffer.from("b"))]).toEqual([1, 2]);
    const records = await log.read({ afterSeq: 0 });
    expect(records.map(({ seq, kind, atMs }) => ({ seq, kind, atMs }))).toEqual([
      { seq: 1, kind: 1, atMs: 77 },
      { seq: 2, kind: 2, atMs: 77 },
    ]);
    expect(await log.read({ afterSeq: 2 })).toEqual([]);
    expect(await log.read({ afterSeq: 0, throughSeq: 1 })).toHaveLength(1);
  });

  it("E2: what memory no longer holds is read from files, over many segments and in any read size", async () => {
    const log = await logs.open({ segmentBytes: 300, memoryBytes: 0 });
    appendTexts(log, textsTo(100));
    await log.flush();
    expect(log.memoryBytes).toBe(0);
    expect((await readdir(logs.directory)).length).toBeGreaterThan(5);
    for (const maxBytes of [1, 100, 1_000, 1_000_000]) {
      expect(textsOf(await readAll(log, 0, maxBytes))).toEqual(textsTo(100));
    }
    for (let afterSeq = 0; afterSeq < 100; afterSeq += 1) {
      const [first] = await log.read({ afterSeq, maxBytes: 1 });
      expect(first?.seq).toBe(afterSeq + 1);
    }
  });

  it("E2: readers at different places do not disturb each other, and only files in use stay open", async () => {
    const log = await logs.open({ segmentBytes: 300, memoryBytes: 0 });
    appendTexts(log, textsTo(60));
    await log.flush();
    const all = await Promise.all([readAll(log, 0, 50), readAll(log, 20, 70), readAll(log, 40, 1)]);
    expect(all.map((records) => textsOf(records))).toEqual([textsTo(60), textsTo(60).slice(20), textsTo(60).slice(40)]);
    expect(logs.watched.openCount).toBeLessThanOrEqual(2);
  });

  it("E2: a record of the largest size is kept, a larger one and a wrong kind are refused", async () => {
    const log = await logs.open({ memoryBytes: 0 });
    log.append(0, new Uint8Array(MAX_RECORD_BYTES).fill(7));
    log.append(0, new Uint8Array(0));
    expect(() => log.append(0, new Uint8Array(MAX_RECORD_BYTES + 1))).toThrow(codeOf("TOO_LARGE"));
    expect(() => log.append(255, new Uint8Array(0))).toThrow(RangeError);
    await log.flush();
    const records = await readAll(log, 0, 1);
    expect(records.map((record) => record.payload.byteLength)).toEqual([MAX_RECORD_BYTES, 0]);
  });

  it("E2: a few bytes of a large buffer do not hold the buffer in memory", async () => {
    const log = await logs.open();
    log.append(1, Buffer.alloc(1_000_000, 1).subarray(0, 10));
    const [record] = await log.read({ afterSeq: 0 });
    expect(record?.payload.buffer.byteLength).toBe(10);
  });

  it("E2: a listener hears each append until it leaves", async () => {
    const log = await logs.open();
    let heard = 0;
    const leave = log.onAppend(() => (heard += 1));
    appendTexts(log, textsTo(2));
    leave();
    appendTexts(log, ["more"]);
    expect(heard).toBe(2);
  });

  it("E2: writes that the system takes in pieces put the same bytes on disk", async () => {
    logs.watched.maxWriteBytes = 7;
    const log = await logs.open({ memoryBytes: 0 });
    appendTexts(log, textsTo(20));
    await log.flush();
    expect(textsOf(await readAll(log, 0))).toEqual(textsTo(20));
  });
});

describe("segment log: durability", () => {
  it("T8: nothing is made on disk before the first record", async () => {
    const log = await logs.open();
    await log.flush();
    await log.close();
    expect(existsSync(logs.directory)).toBe(false);
  });

  it("T8: a flush syncs the file, its name and the new directories before it resolves, and once for all who wait", async () => {
    const log = await logs.open();
    appendTexts(log, textsTo(3));
    let isSynced = false;
    logs.watched.fault = (operation) => {
      if (operation === "syncdir") isSynced = true;
    };
    await Promise.all([log.flush(), log.flush(), log.flush().then(() => expect(isSynced).toBe(true))]);
    const file = "0000000000000001.seg";
    expect(logs.watched.calls).toEqual([
      "mkdir t1.1",
      `open ${file}`,
      `write ${file}`,
      `sync ${file}`,
      expect.stringMatching(/^syncdir /),
      expect.stringMatching(/^syncdir /),
      "syncdir t1.1",
    ]);
    expect(log.durableSeq).toBe(3);
    logs.watched.calls.length = 0;
    await log.flush();
    expect(logs.watched.calls).toEqual([]);
    appendTexts(log, ["one more"]);
    await log.flush();
    expect(logs.watched.calls).toEqual([`write ${file}`, `sync ${file}`]);
  });

  it("T8: a flush during a sync waits for a sync of its own", async () => {
    const log = await logs.open();
    appendTexts(log, ["a"]);
    let second: Promise<void> | undefined;
    logs.watched.fault = (operation) => {
      if (operation !== "sync" || second !== undefined) return;
      appendTexts(log, ["b"]);
      second = log.flush();
    };
    await log.flush();
    expect(log.durableSeq).toBe(1);
    await second;
    expect(log.durableSeq).toBe(2);
    expect(logs.watched.calls.filter((call) => call.startsWith("sync "))).toHaveLength(2);
  });

  it("T8: a segment is synced before the next one is made, and its name before its first record", async () => {
    const log = await logs.open({ segmentBytes: 100 });
    appendTexts(log, ["a".repeat(100), "b".repeat(100)]);
    await log.flush();
    const [first, second] = ["0000000000000001.seg", "0000000000000002.seg"];
    const calls = logs.watched.calls.filter((call) => !call.startsWith("mkdir") && !call.startsWith("syncdir c"));
    expect(calls.slice(2).filter((call) => call !== "syncdir spool")).toEqual([
      `sync ${first}`,
      `open ${second}`,
      "syncdir t1.1",
      `write ${second}`,
      `sync ${second}`,
    ]);
  });

  it("T8: files are the owner's alone", async () => {
    const log = await logs.open();
    appendTexts(log, ["secret"]);
    await log.flush();
    expect((await stat(logs.directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(logs.directory, "0000000000000001.seg"))).mode & 0o777).toBe(0o600);
  });

  it("T8: a log that is opened again goes on with the next number", async () => {
    const log = await logs.open({ segmentBytes: 100 });
    appendTexts(log, textsTo(10));
    await log.close();
    const again = await logs.open({ segmentBytes: 100 });
    expect([again.nextSeq, again.firstSeq, again.recovered.cutBytes]).toEqual([11, 1, 0]);
    appendTexts(again, ["record 11"]);
    expect(textsOf(await readAll(again, 0))).toEqual(textsTo(11));
    await again.flush();
    expect(again.durableSeq).toBe(11);
  });

  it("T8: opening again counts nothing as durable that this process did not sync", async () => {
    const log = await logs.open();
    appendTexts(log, ["a"]);
    await log.close();
    const again = await logs.open();
    expect(again.durableSeq).toBe(0);
    logs.watched.calls.length = 0;
    await again.flush();
    expect(logs.watched.calls.map((call) => call.split(" ")[0])).toEqual(["open", "sync", "syncdir"]);
  });
});

describe("segment log: acknowledging", () => {
  it("T8: acknowledged segments go, oldest first, and the newest stays and keeps the numbering", async () => {
    const log = await logs.open({ segmentBytes: 100, memoryBytes: 0 });
    appendTexts(log, textsTo(10));
    await log.flush();
    const count = (await readdir(logs.directory)).length;
    log.ack(5);
    log.ack(5);
    log.ack(2);
    expect(log.ackedSeq).toBe(5);
    await log.close();
    const again = await logs.open({ segmentBytes: 100, memoryBytes: 0 });
    expect((await readdir(logs.directory)).length).toBeLessThan(count);
    expect(again.firstSeq).toBeLessThanOrEqual(6);
    expect(textsOf(await readAll(again, 5))).toEqual(textsTo(10).slice(5));
    again.ack(10);
    await again.close();
    expect(await readdir(logs.directory)).toHaveLength(1);
    expect((await logs.open()).nextSeq).toBe(11);
  });

  it("T8: reading what is gone tells from where the log is kept", async () => {
    const log = await logs.open({ segmentBytes: 100, memoryBytes: 0 });
    appendTexts(log, textsTo(10));
    await log.flush();
    log.ack(9);
    await log.close();
    const again = await logs.open({ segmentBytes: 100 });
    expect(again.firstSeq).toBeGreaterThan(5);
    const error = { code: "PAST_RETENTION", details: { earliest: again.firstSeq } };
    await expect(again.read({ afterSeq: 0 })).rejects.toThrow(expect.objectContaining(error));
  });

  it("T8: a segment that goes while it is being opened for a read is past retention, and is not made again", async () => {
    const log = await logs.open({ segmentBytes: 100, memoryBytes: 0 });
    appendTexts(log, textsTo(10));
    await log.flush();
    const path = join(logs.directory, "0000000000000001.seg");
    logs.watched.fault = async (operation, name) => {
      if (operation !== "open" || !path.endsWith(name)) return;
      log.ack(10);
      await expect.poll(() => existsSync(path)).toBe(false);
    };
    await expect(log.read({ afterSeq: 0 })).rejects.toThrow(codeOf("PAST_RETENTION"));
    expect(existsSync(path)).toBe(false);
  });

  it("T8: an acknowledgement of a record that does not exist is refused", async () => {
    const log = await logs.open();
    appendTexts(log, ["a"]);
    expect(() => log.ack(2)).toThrow(codeOf("BAD_REQUEST"));
    expect(log.ackedSeq).toBe(0);
  });

  it("T8: a segment that cannot be removed stays, nothing after it goes, and the next acknowledgement tries again", async () => {
    const log = await logs.open({ segmentBytes: 100, memoryBytes: 0 });
    appendTexts(log, textsTo(10));
    await log.flush();
    let isRefused = false;
    logs.watched.fault = (operation) => {
      if (operation !== "remove") return;
      isRefused = true;
      throw systemError("EACCES");
    };
    log.ack(8);
    await expect.poll(() => isRefused).toBe(true);
    expect(textsOf(await readAll(log, 0))).toEqual(textsTo(10));
    logs.watched.fault = () => undefined;
    log.ack(10);
    await log.close();
    expect(await readdir(logs.directory)).toHaveLength(1);
  });

  it("T8: deleting removes every file, in any order with closing, and what comes after is refused", async () => {
    const log = await logs.open({ segmentBytes: 100 });
    appendTexts(log, textsTo(10));
    const flushing = log.flush();
    const outcomes = await Promise.allSettled([flushing, log.close(), log.delete(), log.close(), log.delete()]);
    expect(outcomes.slice(2).every((outcome) => outcome.status === "fulfilled")).toBe(true);
    expect(existsSync(logs.directory)).toBe(false);
    expect(() => log.append(1, new Uint8Array(1))).toThrow(codeOf("UNAVAILABLE"));
    await expect(log.read({ afterSeq: 0 })).rejects.toThrow(codeOf("UNAVAILABLE"));
    await expect(log.ready()).rejects.toThrow(codeOf("UNAVAILABLE"));
  });
});

describe("segment log: limits", () => {
  it("X4: over the quota nothing is taken but a gap, and an acknowledgement makes room", async () => {
    const log = await logs.open({ maxBytes: MIN_LOG_QUOTA_BYTES });
    // The last one goes over it by nearly all of itself.
    while (log.sizeBytes < MIN_LOG_QUOTA_BYTES - 4096) {
      log.append(1, new Uint8Array(Math.min(512 * 1024, MIN_LOG_QUOTA_BYTES - 1024 - log.sizeBytes)));
      await log.flush();
    }
    log.append(1, new Uint8Array(MAX_RECORD_BYTES));
    await log.flush();
    expect(log.sizeBytes).toBeGreaterThanOrEqual(MIN_LOG_QUOTA_BYTES);
    expect(() => log.append(1, new Uint8Array(1))).toThrow(codeOf("QUOTA_EXCEEDED"));
    const gapSeq = log.appendGap({ lostBytes: 123, lostRecords: 4 });
    const [gap] = await log.read({ afterSeq: gapSeq - 1 });
    expect(gap && decodeGap(gap)).toEqual({ lostBytes: 123, lostRecords: 4 });
    const waiting = log.ready();
    log.ack(log.nextSeq - 1);
    await waiting;
    expect(log.canAppend).toBe(true);
  });

  it("X4: a wait for room ends with its signal, and with the log", async () => {
    const log = await logs.open();
    while (log.canAppend) log.append(1, new Uint8Array(512 * 1024));
    expect(() => log.append(1, new Uint8Array(1))).toThrow(codeOf("QUOTA_EXCEEDED"));
    const controller = new AbortController();
    const waits = [log.ready({ signal: controller.signal }), log.ready()];
    controller.abort(new Error("enough"));
    const closing = log.delete();
    await expect(waits[0]).rejects.toThrow("enough");
    await expect(waits[1]).rejects.toThrow(codeOf("UNAVAILABLE"));
    await closing;
  });

  it("X4: a gap has a bound of its own while too much is not written", async () => {
    const log = await logs.open();
    while (log.canAppend) log.append(1, new Uint8Array(512 * 1024));
    expect(() => {
      for (;;) log.appendGap({ lostBytes: 1, lostRecords: 1 });
    }).toThrow(codeOf("QUOTA_EXCEEDED"));
    expect(log.pendingBytes).toBeLessThan(MAX_PENDING_BYTES + 2 * MAX_RECORD_BYTES);
  });

  it("X4: a quota that one segment could fill is refused", async () => {
    await expect(logs.open({ maxBytes: MIN_LOG_QUOTA_BYTES - 1 })).rejects.toThrow(RangeError);
  });
});
