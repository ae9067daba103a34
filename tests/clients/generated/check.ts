// What every TypeScript client asserts with.

/** The daemon and the token of a session. */
export const url = process.env.RUNABOUT_URL!, token = process.env.RUNABOUT_TOKEN!;

/** Fails unless both are the same, as JSON. */
export function same(left: unknown, right: unknown) {
  if (JSON.stringify(left) !== JSON.stringify(right)) throw new Error(`${JSON.stringify(left)} is not ${JSON.stringify(right)}`);
}
