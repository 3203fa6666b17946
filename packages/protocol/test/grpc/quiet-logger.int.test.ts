import { afterEach, describe, expect, it, vi } from "vitest";
import { startHub } from "./support/start-hub.js";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("logger of grpc-js", () => {
  it("T9: an address that is taken is an error for the caller and no line on standard error", async () => {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    await using first = await startHub({});
    await using second = await startHub({});
    await expect(second.server.listen(`127.0.0.1:${first.port}`)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(written.mock.calls).toEqual([]);
  });
});
