// Reading an endpoint again and again, as lightly as possible.

import { mayCall, onKey } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./ui.js";

const LONGEST_PAUSE = 15000;

/**
 * Read data now, and again after a pause, while the page is visible.
 *
 * Pauses double after each error, up to 15 s. Nothing is read without a key that the server needs, or after it was
 * refused, until there is another one; a change of the key drops the data.
 *
 * @param {(signal: AbortSignal) => Promise<any>} read
 * @param {{every?: number, until?: (data: any) => boolean, inputs?: any[]}} options
 *   `every`: milliseconds between an answer and the next question; `until`: true for data that is final; `inputs`:
 *   values whose change drops the data and reads again
 * @returns {{data: any, error: Error | null, again: () => void}} `data` is null before the first answer; an error
 *   keeps the data before it
 */
export function usePolled(read, { every = 1000, until = () => false, inputs = [] } = {}) {
  const [state, setState] = useState({ data: null, error: null });
  const [round, setRound] = useState(0);
  const again = useCallback(() => setRound((count) => count + 1), []);
  const key = useRef(0);
  const latest = useRef(null);
  latest.current = { read, until };
  useEffect(
    () =>
      onKey(() => {
        key.current += 1;
        again();
      }),
    [],
  );
  useEffect(() => setState({ data: null, error: null }), [key.current, ...inputs]);
  useEffect(() => {
    const ending = new AbortController();
    poll(latest, setState, { every, signal: ending.signal });
    return () => ending.abort();
  }, [round, ...inputs]);
  return { ...state, again };
}

async function poll(latest, setState, { every, signal }) {
  let failures = 0;
  while (!signal.aborted && mayCall()) {
    await untilVisible(signal);
    try {
      const data = await latest.current.read(signal);
      if (signal.aborted) return;
      failures = 0;
      setState({ data, error: null });
      if (latest.current.until(data)) return;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      if (error.status === 401) {
        setState({ data: null, error });
        return;
      }
      setState(({ data }) => ({ data, error }));
    }
    await pause(Math.min(every * 2 ** failures, LONGEST_PAUSE), signal);
  }
}

function untilVisible(signal) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    const ended = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", ended);
      resolve();
    };
    document.addEventListener("visibilitychange", ended);
    signal.addEventListener("abort", ended, { once: true });
  });
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
