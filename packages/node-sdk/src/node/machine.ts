/** What the machine says about itself, in the words of the protocol. */
import type { SkillDescription } from "@cortex-mesh/protocol";
import type { Capabilities, CapabilitySource } from "../health/capabilities.js";
import type { HealthMeter } from "../health/figures.js";
import type { MachineFacts } from "./core-options.js";

/** Makes the facts of this machine. */
export function machineFacts(
  source: Pick<CapabilitySource, "current">,
  meter: HealthMeter,
  drivers: readonly string[],
): MachineFacts {
  return {
    capabilities: (skills) => toWire(source.current(), skills, drivers),
    figures(runningTasks) {
      const sample = meter.sample({ runningTasks });
      return {
        cpuRatio: sample.cpuRatio,
        memoryRatio: sample.memoryRatio,
        memoryFreeBytes: BigInt(Math.floor(sample.memoryFreeBytes)),
        loadAverage: sample.loadAverage1,
        diskFreeBytes: BigInt(Math.floor(sample.diskFreeBytes)),
        diskRatio: sample.diskRatio,
        processRssBytes: BigInt(sample.processRssBytes),
      };
    },
  };
}

function toWire(found: Capabilities, skills: readonly SkillDescription[], sandboxDrivers: readonly string[]) {
  return {
    os: found.os.platform,
    osRelease: found.os.release,
    distribution: found.os.distribution,
    arch: found.os.arch,
    cpu: found.cpu,
    memoryBytes: BigInt(Math.floor(found.memory.totalBytes)),
    disk: {
      totalBytes: BigInt(Math.floor(found.disk.totalBytes)),
      freeBytes: BigInt(Math.floor(found.disk.freeBytes)),
    },
    gpus: found.gpus.map((gpu) => ({
      vendor: gpu.vendor,
      model: gpu.model,
      memoryBytes: BigInt(Math.floor(gpu.memoryBytes ?? 0)),
    })),
    tools: { ...found.tools },
    skills: skills.map(toSkillInfo),
    sandboxLevels: [...found.sandboxes],
    shell: found.shell ?? "",
    sandboxDrivers: [...sandboxDrivers],
  };
}

function toSkillInfo(skill: SkillDescription) {
  return {
    name: skill.name,
    version: skill.version,
    inputSchemaJson: skill.inputJsonSchema === undefined ? "" : JSON.stringify(skill.inputJsonSchema),
    outputSchemaJson: skill.outputJsonSchema === undefined ? "" : JSON.stringify(skill.outputJsonSchema),
  };
}
