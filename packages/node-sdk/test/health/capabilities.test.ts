import { describe, expect, it } from "vitest";
import { parseDistribution, usableMemoryBytes } from "../../src/health/capabilities.js";
import { toGpus } from "../../src/health/graphics.js";
import { parseVersion } from "../../src/health/tools.js";

describe("the version of a tool", () => {
  it.each([
    ["v20.20.2\n", "20.20.2"],
    ["git version 2.39.5 (Apple Git-154)", "2.39.5"],
    ["Docker version 28.2.2, build e6534b4", "28.2.2"],
    ["Python 3.11.7", "3.11.7"],
    ["gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022", "12.2.0"],
    ['openjdk version "17.0.15" 2025-04-15', "17.0.15"],
    ['openjdk version "21" 2023-09-19', "21"],
    ["go version go1.22.1 linux/amd64", "1.22.1"],
    ["This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64", "5.36.0"],
    ["Google Chrome 120.0.6099.109 unknown\n", "120.0.6099.109"],
    ["GNU Make 4.3", "4.3"],
    ["ffmpeg version n6.0 Copyright", "6.0"],
    ["no number here", undefined],
    ["", undefined],
  ])("E6: of %j is %s", (text, version) => {
    expect(parseVersion(text)).toBe(version);
  });
});

describe("the distribution", () => {
  it.each([
    ['PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n', "Debian GNU/Linux 12 (bookworm)"],
    ["NAME=Alpine\nVERSION=3.19\n", "Alpine 3.19"],
    ["NAME='Void'\n", "Void"],
    ["# nothing\n\n", ""],
  ])("E6: of %j is %j", (text, distribution) => {
    expect(parseDistribution(text)).toBe(distribution);
  });
});

describe("memory", () => {
  it("E6: is what tasks can use: the machine's, or a smaller limit of the node itself", () => {
    expect(usableMemoryBytes(1000, undefined)).toBe(1000);
    expect(usableMemoryBytes(1000, 0)).toBe(1000);
    expect(usableMemoryBytes(1000, 2 ** 64)).toBe(1000);
    expect(usableMemoryBytes(1000, 400)).toBe(400);
  });
});

describe("graphics processors", () => {
  it("E6: virtual display adapters are none, and memory counts in bytes", () => {
    expect(
      toGpus([
        { vendor: "NVIDIA Corporation", model: "GA102 [GeForce RTX 3090]", vram: 24576 },
        { vendor: "Apple", model: "Apple M2", vram: null },
        { vendor: "ASPEED Technology, Inc.", model: "ASPEED Graphics Family", vram: 16 },
        { vendor: "Red Hat, Inc.", model: "Virtio 1.0 GPU", vram: null },
        { vendor: "Cirrus Logic", model: "GD 5446", vram: null },
        { vendor: "", model: "", vram: null },
      ]),
    ).toEqual([
      { vendor: "NVIDIA Corporation", model: "GA102 [GeForce RTX 3090]", memoryBytes: 24576 * 1024 * 1024 },
      { vendor: "Apple", model: "Apple M2" },
    ]);
  });
});
