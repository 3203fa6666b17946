import { describe, expect, it } from "vitest";
import { negotiateVersion, SUPPORTED_PROTOCOL } from "../src/version.js";
import { catchCortexError } from "./signing/catch-cortex-error.js";

describe("negotiateVersion", () => {
  it("L2: picks the newest version that both speak", () => {
    expect(negotiateVersion({ min: 1, max: 3 }, { min: 2, max: 5 })).toBe(3);
    expect(negotiateVersion({ min: 2, max: 5 }, { min: 1, max: 3 })).toBe(3);
    expect(negotiateVersion(SUPPORTED_PROTOCOL, SUPPORTED_PROTOCOL)).toBe(SUPPORTED_PROTOCOL.max);
  });

  it("L2: without a common version the older side is told to update", () => {
    const tooOldNode = catchCortexError(() => negotiateVersion({ min: 3, max: 4 }, { min: 1, max: 2 }));
    expect(tooOldNode).toMatchObject({
      code: "VERSION_UNSUPPORTED",
      details: { hubMin: 3, hubMax: 4, nodeMin: 1, nodeMax: 2 },
    });
    expect(tooOldNode?.message).toContain("update it");
    expect(tooOldNode?.message).toContain("the node is too old");
    const tooOldHub = catchCortexError(() => negotiateVersion({ min: 1, max: 2 }, { min: 3, max: 4 }));
    expect(tooOldHub?.message).toContain("the hub is too old");
  });
});
