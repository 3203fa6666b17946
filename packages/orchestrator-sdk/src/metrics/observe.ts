/** Parts of a hub that tell of their work: each wraps one from outside and changes nothing that it does. */
import { toCortexError } from "@cortex-mesh/protocol";
import type { Enrolment } from "../nodes/enrolment.js";
import type { Invites } from "../nodes/invites.js";
import type { Tokens } from "../nodes/tokens.js";
import type { OutputFiles } from "../tasks/output-files.js";
import type { TaskService } from "../tasks/task-service.js";
import type { HubMetrics } from "./hub-metrics.js";

/** Tells of invites that are made. */
export function observeInvites(invites: Invites, metrics: HubMetrics): Invites {
  return {
    ...invites,
    async create(caller, request) {
      const made = await invites.create(caller, request);
      metrics.inviteMade();
      return made;
    },
  };
}

/** Tells of machines that are refused; those that get in are told by the enrolment itself. */
export function observeEnrolment(enrolment: Enrolment, metrics: HubMetrics): Enrolment {
  return {
    ...enrolment,
    async finish(request) {
      try {
        return await enrolment.finish(request);
      } catch (error) {
        metrics.enrolmentRefused(toCortexError(error).code);
        throw error;
      }
    },
  };
}

/** Tells of tokens; a request for a nonce is none. */
export function observeTokens(tokens: Tokens, metrics: HubMetrics): Tokens {
  return {
    ...tokens,
    async issue(request) {
      try {
        const answer = await tokens.issue(request);
        if (request.nonce.byteLength > 0) metrics.tokenIssued(request.epoch === 0n ? "connect" : "renew");
        return answer;
      } catch (error) {
        metrics.tokenRefused(toCortexError(error).code);
        throw error;
      }
    },
  };
}

/** Tells of output that became durable. */
export function observeOutput(files: OutputFiles, metrics: HubMetrics): OutputFiles {
  return {
    ...files,
    async append(taskId, stream, at) {
      await files.append(taskId, stream, at);
      metrics.outputWritten(
        stream,
        at.chunks.reduce((sum, { byteLength }) => sum + byteLength, 0),
      );
    },
  };
}

/** Tells of dispatches that repeat an earlier one. */
export function observeTasks(tasks: TaskService, metrics: HubMetrics): TaskService {
  return {
    ...tasks,
    async submit(caller, request) {
      const submitted = await tasks.submit(caller, request);
      if (submitted.isRepeat) metrics.dispatchRepeated();
      return submitted;
    },
  };
}
