/**
 * The simulator of Cortex: whole meshes in virtual time under seeded faults, judged by what users see and what really ran.
 *
 * @packageDocumentation
 */
export { runSimulator, type SimulatorOutput } from "./run-simulator.js";
