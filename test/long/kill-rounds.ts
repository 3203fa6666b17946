/** Kills hubs and nodes again and again, each round with a seed of its own. */
import { killHubUnderLoad } from "../support/hub-kills.js";
import { killNodeUnderTasks } from "../support/node-kills.js";
import { openStage } from "../support/programs.js";
import { seededRandom } from "../support/seed.js";
import { type Checks, say } from "./checks.js";

const HUB_KILLS_A_ROUND = 5;
const TASKS = 40;
const LINES_A_PART = 50;
const ONCE_TASKS = 10;
const IDEMPOTENT_TASKS = 4;

/** What the kills of hubs came to. */
export interface HubKillFigures {
  kills: number;
  tasks: number;
  lines: number;
  /** Readers that connected again after a kill. */
  resumes: number;
  readonly seeds: number[];
}

/** Kills hubs under printing tasks. */
export async function runHubKills(checks: Checks, kills: number, seed: number): Promise<HubKillFigures> {
  const figures: HubKillFigures = { kills: 0, tasks: 0, lines: 0, resumes: 0, seeds: [] };
  for (let round = 0; figures.kills < kills; round += 1) {
    const own = seed + round;
    figures.seeds.push(own);
    const report = await checks.run(`hub kills, seed ${own}`, async () => {
      await using stage = openStage();
      const count = Math.min(HUB_KILLS_A_ROUND, kills - figures.kills);
      return await killHubUnderLoad({
        stage,
        random: seededRandom(own),
        kills: count,
        tasks: TASKS,
        linesAPart: LINES_A_PART,
      });
    });
    if (report === undefined) return figures;
    figures.kills += report.kills;
    figures.tasks += report.tasks;
    figures.lines += report.lines;
    figures.resumes += report.resumes;
    say(`  hub killed ${figures.kills} of ${kills} times, ${figures.tasks} tasks whole`);
  }
  checks.add("hub kills", true, `${figures.tasks} tasks succeeded once with all of their ${figures.lines} lines`);
  checks.happened("hub killed", figures.kills);
  checks.happened("reader resumed after a kill", figures.resumes);
  return figures;
}

/** What the kills of nodes came to. */
export interface NodeKillFigures {
  kills: number;
  repeats: number;
  orphans: number;
  readonly ends: Record<string, number>;
  readonly seeds: number[];
}

/** Kills one node under tasks; it is the same node, with the same state, from the first round to the last. */
export async function runNodeKills(checks: Checks, kills: number, seed: number): Promise<NodeKillFigures> {
  const figures: NodeKillFigures = { kills: 0, repeats: 0, orphans: 0, ends: {}, seeds: [] };
  if (kills === 0) return figures;
  await using stage = openStage();
  const hub = await stage.hub();
  let node = await stage.node(hub);
  while (figures.kills < kills) {
    const own = seed + figures.kills;
    figures.seeds.push(own);
    const plan = { stage, hub, node, onceTasks: ONCE_TASKS, idempotentTasks: IDEMPOTENT_TASKS };
    const report = await checks.run(`node kills, seed ${own}`, () =>
      killNodeUnderTasks({ ...plan, random: seededRandom(own) }),
    );
    if (report === undefined) return figures;
    ({ node } = report);
    figures.kills += 1;
    figures.repeats += report.repeats;
    figures.orphans += report.orphans;
    for (const [state, count] of Object.entries(report.ends)) figures.ends[state] = (figures.ends[state] ?? 0) + count;
    say(`  node killed ${figures.kills} of ${kills} times, ${JSON.stringify(figures.ends)}`);
  }
  checks.add("node kills", true, `no task ran twice that may run once: ${JSON.stringify(figures.ends)}`);
  checks.happened("node killed", figures.kills);
  checks.happened("process outlived its node", figures.orphans);
  checks.happened("repeatable task ran again", figures.repeats);
  return figures;
}
