// What this browser remembers for the page, where it remembers anything at all. No secret belongs here.

/** A value that outlives the page, under a name; `where` is the storage that it lies in. It is null where there is none. */
export function stored(name, where = 'localStorage') {
  const key = `runabout.${name}`;
  // A browser that is told to keep nothing throws at every use.
  const tried = use => {
    try {
      return use(globalThis[where]);
    } catch {
      return null;
    }
  };
  return {
    get: () => tried(storage => JSON.parse(storage.getItem(key))),
    set: value => tried(storage => (value === null ? storage.removeItem(key) : storage.setItem(key, JSON.stringify(value)))),
  };
}
