/** Lists: pages of a fixed order with an opaque cursor. */

import { z } from "zod";
import { CortexError } from "@cortex-mesh/protocol/portable";

/** Items of a page when the caller names no limit. */
export const DEFAULT_PAGE_ITEMS = 100;
/** Most items of a page. */
export const MAX_PAGE_ITEMS = 1000;

/** Input fields of every list. */
export const pageInput = {
  limit: z.int().min(1).max(MAX_PAGE_ITEMS).default(DEFAULT_PAGE_ITEMS),
  cursor: z.string().min(1).max(200).optional(),
};

/** Output of every list. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() });
}

/** What a caller asked for. */
export interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

/** A page of anything. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/**
 * Reads one page; `nextCursor` is null exactly when nothing follows.
 *
 * @throws CortexError `BAD_REQUEST` for what is no cursor.
 */
export async function readPage<Item>(
  input: PageInput,
  list: (page: { readonly after: string | undefined; readonly limit: number }) => Promise<readonly Item[]>,
  idOf: (item: Item) => string,
): Promise<Page<Item>> {
  const after = input.cursor === undefined ? undefined : parseCursor(input.cursor);
  const items = [...(await list({ after, limit: input.limit }))];
  const last = items.at(-1);
  if (last === undefined || items.length < input.limit) return { items, nextCursor: null };
  const following = await list({ after: idOf(last), limit: 1 });
  return { items, nextCursor: following.length === 0 ? null : toCursor(idOf(last)) };
}

function toCursor(id: string): string {
  return Buffer.from(id, "utf8").toString("base64url");
}

function parseCursor(cursor: string): string {
  const id = Buffer.from(cursor, "base64url").toString("utf8");
  if (/^[a-z]+_[0-9A-Z]{26}$/.test(id) && toCursor(id) === cursor) return id;
  throw new CortexError("BAD_REQUEST", "cursor: this is not a cursor of a list", { details: { field: "cursor" } });
}
