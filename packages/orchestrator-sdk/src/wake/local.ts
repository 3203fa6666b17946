/** Wake-ups within one process. Listeners run in the caller's tick; they only set a flag or resolve a promise. */
import type { Wake, WakeTopic } from "./wake.js";

/** Makes the wake-up of a hub that runs alone. */
export function createLocalWake(): Wake {
  const listeners = new Map<WakeTopic, Set<() => void>>();
  return {
    wake(...topics) {
      for (const topic of topics) {
        for (const listener of listeners.get(topic) ?? []) listener();
      }
    },
    listen(topic, listener) {
      const set = listeners.get(topic) ?? new Set();
      listeners.set(topic, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0 && listeners.get(topic) === set) listeners.delete(topic);
      };
    },
  };
}
