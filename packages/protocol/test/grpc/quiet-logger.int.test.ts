import { afterEach, describe, expect, it, vi } from "vitest";
import { AgentOrchestrator } from "../../src/gen/index.js";
import { openChannel } from "../../src/grpc/channel.js";

afterEach(() => {
  vi.restoreAllMocks();
});

describe("logger of grpc-js", () => {
  it("T4: a hub that cannot be reached is an error of the call and no line on standard error", async () => {
    const written = vi.spyOn(console, "error").mockImplementation(() => {});
    const channel = openChannel({ address: "127.0.0.1:1", tls: {}, role: "control" });
    const call = channel.client(AgentOrchestrator).syncConfiguration({});
    await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(written).not.toHaveBeenCalled();
    // This is what it would have written: the same through a client that was opened before is silent as well.
    const unknown = openChannel({ address: "hub.invalid:1", tls: {}, role: "control", env: {} });
    const unresolved = unknown.client(AgentOrchestrator).syncConfiguration({});
    await expect(unresolved).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(written).not.toHaveBeenCalled();
    channel.close();
    unknown.close();
  });
});
