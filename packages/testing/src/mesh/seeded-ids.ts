/** Ids from a seed and a virtual clock: they rise as those of a hub do, and are the same in each run. */
import type { Clock, IdPrefix, IdSource } from "@cortex-mesh/protocol";
import type { SeededRandom } from "../random.js";

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_CHARS = 10;
const COUNT_CHARS = 6;
const CHANCE_CHARS = 10;

/** Makes the ids of a run. */
export function createSeededIds(clock: Clock, random: SeededRandom): IdSource {
  let newestMs = 0;
  let count = 0;
  return {
    next<P extends IdPrefix>(prefix: P) {
      newestMs = Math.max(newestMs, clock.nowMs());
      count += 1;
      const chance = Array.from({ length: CHANCE_CHARS }, () => random.pick([...DIGITS])).join("");
      const body = encode(newestMs, TIME_CHARS) + encode(count, COUNT_CHARS) + chance;
      return `${prefix}_${body}` as ReturnType<IdSource["next"]> as never;
    },
  };
}

function encode(value: number, length: number): string {
  let rest = value;
  let text = "";
  for (let place = 0; place < length; place += 1) {
    text = DIGITS.charAt(rest % DIGITS.length) + text;
    rest = Math.floor(rest / DIGITS.length);
  }
  return text;
}
