/**
 * Tools to test what is built on Cortex: a whole mesh in one process, links in memory with faults, time that a test moves,
 * and chance from a seed.
 *
 * @packageDocumentation
 */
export {
  createMemoryLinkPair,
  type FrameFate,
  type FrameFault,
  type LinkControls,
  type LinkEnd,
  type LinkFaults,
  type MemoryLinkPair,
} from "./memory-link.js";
export type { CrashKind } from "./mesh/node-machine.js";
export type { FrameChange, FrameTamper, StreamKind } from "./mesh/wire.js";
export { createSeededRandom, type SeededRandom } from "./random.js";
export { type FaultKind, type FaultRatios, type SeededFaultsOptions, seededFaults } from "./seeded-faults.js";
export {
  createTestMesh,
  type TestHub,
  type TestMesh,
  type TestMeshOptions,
  type TestNode,
  type TestNodeOptions,
} from "./test-mesh.js";
export { createVirtualClock, type VirtualClock, type VirtualClockOptions } from "./virtual-clock.js";
