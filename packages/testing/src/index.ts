/**
 * Tools to test what is built on Cortex: links in memory with faults, and time that a test moves.
 *
 * @packageDocumentation
 */
export { createMemoryLinkPair, type FrameFate, type FrameFault, type LinkFaults } from "./memory-link.js";
export { createVirtualClock, type VirtualClock, type VirtualClockOptions } from "./virtual-clock.js";
