/** The skills of a node by name. */
import { type Clock, CortexError, isSkillName, type SkillImplementation } from "@cortex-mesh/protocol";
import type { NodeSkill } from "./node-skill.js";
import { isValueSkill, valueSkill } from "./value-skill.js";

/** The skills of a node. */
export interface SkillTable {
  /** Sorted by name. */
  list(): readonly NodeSkill[];
  /** @throws CortexError `SKILL_NOT_FOUND` */
  get(name: string): NodeSkill;
}

/** Makes the table. @throws RangeError for a name that is none, or is there twice. */
export function createSkillTable(skills: readonly (NodeSkill | SkillImplementation)[], clock: Clock): SkillTable {
  const table = new Map<string, NodeSkill>();
  for (const skill of skills) {
    if (!isSkillName(skill.name)) throw new RangeError(`"${skill.name}" is not the name of a skill`);
    if (table.has(skill.name)) throw new RangeError(`there are two skills of the name "${skill.name}"`);
    table.set(skill.name, isValueSkill(skill) ? valueSkill(skill, clock) : skill);
  }
  const sorted = [...table.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  return {
    list: () => sorted,
    get(name) {
      const skill = table.get(name);
      if (skill !== undefined) return skill;
      const known = sorted.map((each) => each.name).join(", ");
      throw new CortexError("SKILL_NOT_FOUND", `this node has no skill "${name.slice(0, 64)}"; it has ${known}`);
    },
  };
}
