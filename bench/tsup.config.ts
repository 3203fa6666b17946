import { programConfig } from "../scripts/tsup-config.mjs";

export default programConfig();
