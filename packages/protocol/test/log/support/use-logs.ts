/** Logs of one test: in a temporary directory, on watched files, closed at its end, and no file left open. */

import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { openSegmentLog } from "../../../src/log/open-segment-log.js";
import type { SegmentLog, SegmentLogOptions } from "../../../src/log/segment-log.js";
import type { TempDir } from "./open-temp-dir.js";
import { openTempDir } from "./open-temp-dir.js";
import type { WatchedFiles } from "./watch-files.js";
import { watchFiles } from "./watch-files.js";

/** What a test works with. */
export interface LogFixture {
  /** Where {@link LogFixture.open} keeps the log; its parent does not exist either. */
  readonly directory: string;
  readonly watched: WatchedFiles;
  open(options?: Partial<SegmentLogOptions>): Promise<SegmentLog>;
}

/** Sets logs up for each test of a file. */
export function useLogs(): LogFixture {
  let dir: TempDir;
  let watched: WatchedFiles;
  const opened: SegmentLog[] = [];
  beforeEach(async () => {
    dir = await openTempDir();
    watched = watchFiles();
  });
  afterEach(async () => {
    watched.fault = () => undefined;
    // A log that a test broke on purpose rejects here; its files are closed all the same.
    for (const log of opened.splice(0)) await log.close().catch(() => undefined);
    expect(watched.openCount).toBe(0);
    await dir[Symbol.asyncDispose]();
  });
  const fixture: LogFixture = {
    get directory() {
      return join(dir.path, "spool", "t1.1");
    },
    get watched() {
      return watched;
    },
    async open(options = {}) {
      const log = await openSegmentLog({ directory: fixture.directory, files: watched.files, ...options });
      opened.push(log);
      return log;
    },
  };
  return fixture;
}

/** Appends each text as a record of kind 1. */
export function appendTexts(log: SegmentLog, texts: readonly string[]): void {
  for (const text of texts) log.append(1, Buffer.from(text));
}

/** `"record 1"` to `"record <count>"`. */
export function textsTo(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `record ${index + 1}`);
}

/** Matches an error with this code. */
export function codeOf(code: string): unknown {
  return expect.objectContaining({ code });
}
