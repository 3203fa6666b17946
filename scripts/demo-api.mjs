/** The few calls of the HTTP API that the demonstration makes, as any client would. */
import { StepError } from "./terminal.mjs";

/**
 * @typedef {Record<string, unknown>} Resource
 *
 * @typedef {object} TaskEvent
 * @property {string} event
 * @property {{ text?: string, base64?: string }} data
 *
 * @typedef {object} Api
 * @property {(path: string) => Promise<Resource>} get
 * @property {(path: string) => Promise<Resource | undefined>} find Undefined when there is no such thing.
 * @property {(path: string, body: unknown) => Promise<Resource>} post
 * @property {(path: string) => AsyncGenerator<TaskEvent>} follow
 */

/**
 * @param {string} origin
 * @param {string} token
 * @param {AbortSignal} signal Ends whatever is under way.
 * @returns {Api}
 */
export function connectApi(origin, token, signal) {
  const authorization = `Bearer ${token}`;

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   */
  async function callForJson(method, path, body) {
    return /** @type {Resource} */ (await (await call(method, path, body)).json());
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   */
  async function call(method, path, body) {
    const response = await fetch(`${origin}/api/v1${path}`, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    if (response.ok) return response;
    throw Object.assign(new StepError(`${method} ${path}: ${response.status} ${await response.text()}`), {
      httpStatus: response.status,
    });
  }

  return {
    get: (path) => callForJson("GET", path),
    async find(path) {
      try {
        return await callForJson("GET", path);
      } catch (error) {
        if (error instanceof StepError && "httpStatus" in error && error.httpStatus === 404) return undefined;
        throw error;
      }
    },
    post: (path, body) => callForJson("POST", path, body),
    async *follow(path) {
      const { body } = await call("GET", path);
      if (body !== null) yield* readEvents(body);
    },
  };
}

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<TaskEvent>}
 */
async function* readEvents(body) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = /^event: ?(.*)$/m.exec(block)?.[1];
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) };
    }
  }
}
