/** What keeps a history from coming to rest, by name. Pure. */

/** What has to hold before a history is judged. */
export interface Rest {
  /** Posts and cancels of users that were not answered. */
  readonly openCallCount: number;
  readonly runningCount: number;
  /** Names of nodes that are not online. */
  readonly offlineNodes: readonly string[];
  /** The hub lists its tasks. */
  readonly isListed: boolean;
}

/** Names each condition that is not met; empty when all is quiet. */
export function checkQuiet({ openCallCount, runningCount, offlineNodes, isListed }: Rest): readonly string[] {
  return [
    ...(openCallCount === 0 ? [] : [`is not quiet: ${openCallCount} calls of users were never answered`]),
    ...(runningCount === 0 ? [] : [`is not quiet: ${runningCount} processes run`]),
    ...offlineNodes.map((name) => `is not quiet: ${name} is not online`),
    ...(isListed ? [] : ["is not quiet: the hub does not list its tasks"]),
  ];
}
