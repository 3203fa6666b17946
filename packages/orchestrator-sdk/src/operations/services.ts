/** What operations call: the parts of a hub, each behind its interface. */
import type { Clock } from "@cortex-mesh/protocol/portable";
import type { FeedService } from "../feed/feed-service.js";
import type { NodeDirectory } from "../nodes/directory.js";
import type { Invites } from "../nodes/invites.js";
import type { SessionService } from "../sessions/session-service.js";
import type { TaskService } from "../tasks/task-service.js";

/** Everything that operations use. */
export interface HubServices {
  readonly clock: Clock;
  readonly feed: FeedService;
  readonly invites: Invites;
  readonly nodes: NodeDirectory;
  readonly sessions: SessionService;
  readonly tasks: TaskService;
}
