import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.js";
import { readAll, textsOf } from "./support/read-all.js";
import { appendTexts, codeOf, textsTo, useLogs } from "./support/use-logs.js";
import { systemError } from "./support/watch-files.js";

const logs = useLogs();

describe("segment log: a disk that fails", () => {
  it("T8: on a full disk a flush says so, nothing half written stays, and everything is written once there is room", async () => {
    let retry: (() => void) | undefined;
    const setTimer: Clock["setTimer"] = (run) => {
      retry = run;
      return { cancel: () => undefined };
    };
    const log = await logs.open({ clock: { nowMs: () => 1, monotonicMs: () => 1, setTimer } });
    appendTexts(log, ["first"]);
    await log.flush();
    const path = join(logs.directory, "0000000000000001.seg");
    const { size } = await stat(path);
    let writeCount = 0;
    logs.watched.maxWriteBytes = 20;
    logs.watched.fault = (operation) => {
      if (operation === "write" && (writeCount += 1) > 1) throw systemError("ENOSPC");
    };
    appendTexts(log, ["second", "third"]);
    await expect(log.flush()).rejects.toThrow(codeOf("STORAGE_FULL"));
    expect((await stat(path)).size).toBe(size);
    expect(log.canAppend).toBe(false);
    expect(() => log.append(1, Buffer.from("refused"))).toThrow(codeOf("STORAGE_FULL"));
    expect(textsOf(await readAll(log, 0))).toEqual(["first", "second", "third"]);
    const waiting = log.ready();
    logs.watched.fault = () => undefined;
    retry?.();
    await waiting;
    appendTexts(log, ["fourth"]);
    await log.close();
    expect(textsOf(await readAll(await logs.open(), 0))).toEqual(["first", "second", "third", "fourth"]);
  });

  it("T8: a disk that is full when the first file is made loses nothing", async () => {
    const log = await logs.open();
    for (const refused of ["mkdir", "open", "write"]) {
      logs.watched.fault = (operation) => {
        if (operation === refused) throw systemError("ENOSPC");
      };
      if (log.nextSeq === 1) appendTexts(log, ["a"]);
      await expect(log.flush()).rejects.toThrow(codeOf("STORAGE_FULL"));
    }
    logs.watched.fault = () => undefined;
    await log.flush();
    expect(log.durableSeq).toBe(1);
  });

  it("T8: a sync that fails is never tried again as if it could succeed", async () => {
    for (const code of ["EIO", "ENOSPC"]) {
      const log = await logs.open({ directory: `${logs.directory}.${code}` });
      appendTexts(log, ["a"]);
      logs.watched.fault = (operation) => {
        if (operation === "sync") throw systemError(code);
      };
      await expect(log.flush()).rejects.toThrow(codeOf("INTERNAL"));
      logs.watched.fault = () => undefined;
      await expect(log.flush()).rejects.toThrow(codeOf("INTERNAL"));
      expect(() => log.append(1, new Uint8Array(1))).toThrow(codeOf("INTERNAL"));
      await expect(log.ready()).rejects.toThrow(codeOf("INTERNAL"));
      expect(log.durableSeq).toBe(0);
    }
  });

  it("T8: a log that failed takes a gap and nothing else; it is read after what was written last", async () => {
    const log = await logs.open();
    appendTexts(log, ["a", "b"]);
    logs.watched.fault = (operation) => {
      if (operation === "write") throw systemError("EIO");
    };
    await expect(log.flush()).rejects.toThrow(codeOf("INTERNAL"));
    expect(log.appendGap({ lostBytes: 5, lostRecords: 1 })).toBe(3);
    expect(() => log.append(1, new Uint8Array(1))).toThrow(codeOf("INTERNAL"));
    const records = await log.read({ afterSeq: 0 });
    expect(records.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    log.ack(3);
    await log.delete();
    expect(() => log.appendGap({ lostBytes: 5, lostRecords: 1 })).toThrow(codeOf("UNAVAILABLE"));
  });

  it("T8: closing a log whose flush fails closes its files and says so", async () => {
    const log = await logs.open({ segmentBytes: 100 });
    appendTexts(log, textsTo(5));
    logs.watched.fault = (operation) => {
      if (operation === "syncdir") throw systemError("EIO");
    };
    await expect(log.close()).rejects.toThrow(codeOf("INTERNAL"));
    expect(logs.watched.openCount).toBe(0);
  });
});
