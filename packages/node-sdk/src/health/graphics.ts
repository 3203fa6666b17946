/**
 * Which graphics processors a task could compute on.
 *
 * Virtual display adapters and those of a server's remote console are left out: a task that asks for a GPU must not
 * land on one.
 */
import { graphics, type Systeminformation } from "systeminformation";

/** One graphics processor. */
export interface GpuInfo {
  readonly vendor: string;
  readonly model: string;
  /** Its own memory, where the system tells. */
  readonly memoryBytes?: number;
}

const DISPLAY_ONLY =
  /aspeed|bochs|cirrus|matrox|parallels|qxl|red hat|vbox|virtio|virtual|vmware|microsoft basic|hyper-v/i;

/** Reads the graphics processors of this machine; an empty list when they cannot be read. */
export async function discoverGpus(): Promise<GpuInfo[]> {
  try {
    return toGpus((await graphics()).controllers);
  } catch {
    // No driver, no tool to ask: no graphics processor that a task could count on.
    return [];
  }
}

/** Picks what can compute from the controllers that the system lists. */
export function toGpus(
  controllers: readonly Pick<Systeminformation.GraphicsControllerData, "vendor" | "model" | "vram">[],
): GpuInfo[] {
  return controllers
    .filter(({ vendor, model }) => model !== "" && !DISPLAY_ONLY.test(`${vendor} ${model}`))
    .map(({ vendor, model, vram }) => ({
      vendor,
      model,
      // The list counts in MiB.
      ...(vram !== null && vram > 0 ? { memoryBytes: vram * 1024 * 1024 } : {}),
    }));
}
