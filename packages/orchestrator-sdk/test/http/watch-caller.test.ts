import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { type Caller, createCaller } from "../../src/access/caller.js";
import { createHttpHandler } from "../../src/http/handler.js";
import { MAX_CHECK_MS, RECHECK_CALLER_MS } from "../../src/http/watch-caller.js";
import { operations } from "../../src/operations/table.js";
import { alice } from "../operations/open-hub-services.js";
import { openTestHttp, toRequest } from "./open-test-http.js";

type Authenticate = () => Caller | undefined | Promise<Caller | undefined>;

/** A reader of Alice's feed, on a hub whose word about the caller can change. */
async function openReader() {
  const http = await openTestHttp();
  let checks = 0;
  let authenticate: Authenticate = () => alice;
  const faults: unknown[] = [];
  const fetch = createHttpHandler({
    table: operations,
    services: http.services,
    authenticate: () => {
      checks += 1;
      return authenticate();
    },
    onFault: (error) => void faults.push(error),
  });
  const response = await fetch(toRequest("GET", "/events"));
  const reader = response.body!.getReader();
  const read = async () => Buffer.from((await reader.read()).value ?? []).toString();
  await read();
  const check = async (): Promise<void> => {
    const before = checks;
    http.clock.advance(RECHECK_CALLER_MS);
    await expect.poll(() => checks).toBe(before + 1);
    await new Promise(setImmediate);
  };
  return { ...http, reader, read, check, faults, become: (next: Authenticate) => (authenticate = next) };
}

const nobody = [
  ["nobody any more", () => undefined, "UNAUTHENTICATED"],
  ["somebody else", () => createCaller("bob"), "UNAUTHENTICATED"],
  ["somebody refused", () => Promise.reject(new CortexError("POLICY_DENIED", "gone")), "POLICY_DENIED"],
  ["not to be found out", () => Promise.reject(new Error("database")), "UNAVAILABLE"],
] as const;

describe("a reader of events whose caller changes", () => {
  it("I8: a check and its limit together take no more than 5 s", () => {
    expect(RECHECK_CALLER_MS + MAX_CHECK_MS).toBeLessThanOrEqual(5000);
  });

  it.each(nobody)("I8: is sent away when it is %s, and sees nothing that happens then", async (_what, next, code) => {
    const { addSession, read, check, become, clock, faults } = await openReader();
    const waiting = read();
    await check();
    await addSession(alice);
    expect(await waiting).toContain("session.created");
    become(next);
    await check();
    await addSession(alice);
    const last = await read();
    expect(last).toMatch(/^event: problem\n/);
    expect(last).toContain(`"code":"${code}"`);
    expect(last).not.toContain("database");
    expect(faults).toHaveLength(code === "UNAVAILABLE" ? 1 : 0);
    expect(await read()).toBe("");
    expect(clock.timerCount).toBe(0);
  });

  it("I8: is sent away while it waits for an event", async () => {
    const { read, check, become } = await openReader();
    const waiting = read();
    become(() => undefined);
    await check();
    expect(await waiting).toContain("UNAUTHENTICATED");
  });

  it("I8: is sent away when the check does not come back", async () => {
    const { read, check, become, clock } = await openReader();
    const waiting = read();
    become(() => new Promise(() => undefined));
    await check();
    clock.advance(MAX_CHECK_MS);
    expect(await waiting).toContain("UNAVAILABLE");
  });

  it("H8: is checked no more when it left", async () => {
    const { reader, check, clock } = await openReader();
    await check();
    await reader.cancel();
    expect(clock.timerCount).toBe(0);
  });
});
